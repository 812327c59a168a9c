"""What was found, on one screen."""

from __future__ import annotations

from collections.abc import Sequence

from distfit.doctor.diagnosis import Diagnosis
from distfit.doctor.facts import Facts
from distfit.doctor.findings import by_host

_HEADINGS = ("host", "ranks", "cores", "threads", "shm free", "clock", "processor")
_MOST_RANKS = 8


def report(diagnosis: Diagnosis) -> str:
    """Return a diagnosis as text: the machines, how fast they are together, and what is to be done.

    Ranks: local.
    """
    root = diagnosis.ranks[0]
    versions = ", ".join(f"{name} {version}" for name, version in root.versions.items())
    hosts = by_host(diagnosis.ranks)
    who = f"{_count(len(diagnosis.ranks), 'rank')} on {_count(len(hosts), 'machine')}"
    lines = [
        f"{who}: {root.mpi or 'no MPI at one rank'}, {versions}, {root.blas}",
        "",
        *_table([_HEADINGS, *(_row(here, diagnosis.measures.clocks) for here in hosts.values())]),
        "",
        *_speeds(diagnosis),
        "",
    ]
    for one in diagnosis.findings:
        lines += [f"{one.severity.upper()}: {one.text}.", f"  -> {one.remedy}."]
    if not diagnosis.findings:
        lines.append("All is well: training would be right, and nothing was seen that slows it down.")
    return "\n".join(lines)


def _row(here: Sequence[Facts], clocks: Sequence[float]) -> tuple[str, ...]:
    first = here[0]
    ranks = [one.rank for one in here]
    names = ",".join(map(str, ranks[:_MOST_RANKS])) + ",…" * (len(ranks) > _MOST_RANKS)
    usable = len({core for one in here for core in one.cores})
    cores = str(usable) if usable == first.cores_of_host else f"{usable} of {first.cores_of_host}"
    threads = "+".join(str(one.blas_threads) for one in here[:_MOST_RANKS]) + "+…" * (
        len(ranks) > _MOST_RANKS
    )
    free = f"{first.shared_memory[1] / (1 << 30):.1f} GiB"
    return first.host, names, cores, threads, free, f"{clocks[first.rank] * 1e3:+.1f} ms", first.processor


def _speeds(diagnosis: Diagnosis) -> list[str]:
    measures = diagnosis.measures
    rows = [("all-reduce of", "takes", "bytes/s")]
    rows += [
        (_bytes(size), _seconds(taken), f"{_bytes(size / taken)}/s")
        for size, taken in measures.all_reduce.items()
    ]
    lines = _table(rows)
    lines += [
        f"{diagnosis.ranks[0].host} to {host}: {_bytes(speed)}/s ({speed * 8 / 1e9:.3g} Gbit/s)"
        for host, speed in measures.links.items()
    ]
    if measures.folder and not measures.unwritable and not measures.blind:
        lines.append(f"all ranks see {measures.folder}")
    return lines


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


def _bytes(size: float) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size:.3g} B"
