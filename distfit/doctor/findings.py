"""What would make training wrong or slow, and what to do about it: a pure function of facts and measures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from distfit.doctor.facts import Facts
from distfit.doctor.measures import SIZES, Measures

Severity = Literal["wrong", "slow", "note"]

_MINUTE = 60.0
_LEAST_SHARED_MEMORY = 256 << 20
_TCP_LATENCY_S = 15e-6  # of fast fabrics it is 1 to 3 microseconds; of TCP 20 and more
_SLOW_LINK = 1e9  # bytes a second
_SMALL_MODEL = 10_000_000 * 4  # bytes of ten million parameters


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found.

    Attributes:
        severity: ``"wrong"`` where training might give wrong results, or fail; ``"slow"``; or ``"note"``.
        text: what it is.
        remedy: what to do.
    """

    severity: Severity
    text: str
    remedy: str


def findings(ranks: Sequence[Facts], measures: Measures) -> list[Finding]:
    """Return what there is to say, the worst first.

    Args:
        ranks: the facts of each rank, in order.
        measures: of all of them.

    Ranks: local; a pure function.
    """
    found = [
        *_versions(ranks),
        *_folder(ranks, measures),
        *_cores(ranks),
        *_shared_memory(ranks),
        *_network(ranks, measures),
        *_clocks(ranks, measures),
        *_processors(ranks),
    ]
    return sorted(found, key=lambda one: ("wrong", "slow", "note").index(one.severity))


def by_host(ranks: Sequence[Facts]) -> dict[str, list[Facts]]:
    """Return the ranks of each machine."""
    hosts: dict[str, list[Facts]] = defaultdict(list)
    for one in ranks:
        hosts[one.host].append(one)
    return dict(hosts)


def _versions(ranks: Sequence[Facts]) -> Iterator[Finding]:
    """Yield software that is not the same everywhere."""
    software: dict[str, dict[str, str]] = {
        name: {one.host: one.versions.get(name, "missing") for one in ranks}
        for name in dict.fromkeys(name for one in ranks for name in one.versions)
    }
    software["the MPI library"] = {one.host: one.mpi for one in ranks}
    software["BLAS"] = {one.host: one.blas for one in ranks}
    for name, versions in software.items():
        if len(set(versions.values())) > 1:
            yield Finding(
                "wrong",
                f"{name} is not the same on all machines: {_grouped(versions)}",
                "Use one environment that all machines see, or install the same versions on each",
            )


def _folder(ranks: Sequence[Facts], measures: Measures) -> Iterator[Finding]:
    if measures.unwritable:
        yield Finding(
            "wrong",
            f"nothing can be written to {measures.folder} on {ranks[0].host}: {measures.unwritable}",
            "Make the folder, or name another one, on a file system that all machines mount",
        )
    if measures.blind:
        hosts = dict.fromkeys(ranks[rank].host for rank in measures.blind)
        yield Finding(
            "wrong",
            f"{measures.folder} on {', '.join(hosts)} is not the folder that it is on {ranks[0].host}",
            "Keep checkpoints on a file system that all machines mount, or a job that starts elsewhere finds none",
        )


def _cores(ranks: Sequence[Facts]) -> Iterator[Finding]:
    """Yield ranks that stand in each other's way."""
    for host, here in by_host(ranks).items():
        usable = {core for one in here for core in one.cores}
        threads = sum(one.blas_threads for one in here)
        if len(here) > len(usable):
            bound = len(usable) < here[0].cores_of_host
            yield Finding(
                "slow",
                f"{host} has {len(here)} ranks on {len(usable)} of its {here[0].cores_of_host} cores",
                "Do not bind ranks to few cores: mpiexec -bind-to none (MPICH), --bind-to none (Open MPI)"
                if bound
                else "Start fewer ranks there",
            )
        elif threads > len(usable):
            yield Finding(
                "slow",
                f"{host} has {threads} BLAS threads of {len(here)} ranks on {len(usable)} cores",
                f"Set OMP_NUM_THREADS={max(1, len(usable) // len(here))}, or leave it unset: distfit divides the cores",
            )


def _shared_memory(ranks: Sequence[Facts]) -> Iterator[Finding]:
    for host, here in by_host(ranks).items():
        total, free = here[0].shared_memory
        if len(here) > 1 and free < _LEAST_SHARED_MEMORY:
            yield Finding(
                "slow",
                f"{host} has {free >> 20} MiB of {total >> 20} MiB of /dev/shm free, by which its ranks talk",
                "Give a container more (docker run --shm-size=1g), or remove what dead jobs left there",
            )


def _network(ranks: Sequence[Facts], measures: Measures) -> Iterator[Finding]:
    """Yield links that are slower than they could be, or than the work needs."""
    hosts = by_host(ranks)
    fabrics = {host: here[0].fabrics for host, here in hosts.items() if here[0].fabrics}
    latency = measures.all_reduce[SIZES[0]]
    if len(hosts) > 1 and len(fabrics) == len(hosts) and latency > _TCP_LATENCY_S:
        yield Finding(
            "slow",
            f"{next(iter(fabrics.values()))[0]} is there, but a message takes {latency * 1e6:.0f} us, as over TCP",
            "Use the site's MPI, which knows the fabric (module load, then pip install --no-binary mpi4py mpi4py), or"
            " name it: FI_PROVIDER=verbs, psm2 or cxi (MPICH), OMPI_MCA_pml=ucx (Open MPI)",
        )
    slow = sorted((speed, host) for host, speed in measures.links.items() if speed < _SLOW_LINK)
    if slow:
        speed, host = slow[0]
        others = f", and {len(slow) - 1} more at less than 8 Gbit/s" if len(slow) > 1 else ""
        yield Finding(
            "slow",
            f"the network is the bottleneck: {host} is linked to {ranks[0].host} at {speed / 1e6:.0f} MB/s"
            f" ({speed * 8 / 1e9:.2g} Gbit/s){others}, so that the gradients of ten million parameters take"
            f" {_SMALL_MODEL / speed:.2g} s a step",
            "Name a faster interface (FI_TCP_IFACE for MPICH, OMPI_MCA_btl_tcp_if_include for Open MPI), use larger"
            " batches, or accumulate gradients",
        )


def _clocks(ranks: Sequence[Facts], measures: Measures) -> Iterator[Finding]:
    rank = max(range(len(ranks)), key=lambda one: abs(measures.clocks[one]))
    ahead = measures.clocks[rank]
    if abs(ahead) > _MINUTE:
        yield Finding(
            "note",
            f"the clock of {ranks[rank].host} is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} root's",
            "Let the machines' clocks be set by NTP: times in logs do not fit",
        )


def _processors(ranks: Sequence[Facts]) -> Iterator[Finding]:
    models = {one.host: one.processor for one in ranks}
    if len(set(models.values())) > 1:
        yield Finding(
            "note",
            f"the machines have different processors: {_grouped(models)}",
            "Every step takes as long as on the slowest. What they round otherwise is healed at each epoch's end",
        )


def _grouped(by_host_name: Mapping[str, str]) -> str:
    """Return which machines have what, in words."""
    groups: dict[str, list[str]] = defaultdict(list)
    for host, value in by_host_name.items():
        groups[value].append(host)
    return "; ".join(f"{value or 'none'} on {', '.join(hosts)}" for value, hosts in groups.items())
