"""How fast the ranks are with each other, how far their clocks are apart, and whether they see one folder."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distfit.comm import Communicator

SIZES = (8, 8 << 10, 1 << 20, 16 << 20)
"""Bytes of the arrays that are reduced."""

_LINK_BYTES = 8 << 20
_TURNS = 5
_SMALL_TURNS = 50
_SMALL = 64 << 10


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured; equal on all ranks.

    Attributes:
        all_reduce: seconds that all ranks take to sum an array, by its bytes.
        links: bytes a second from root to a rank of each other machine, by its name.
        clocks: seconds by which each rank's clock is ahead of root's.
        folder: where a shared folder was looked for; None if nowhere.
        unwritable: why root could not write there; empty if it could.
        blind: the ranks that do not see there what root wrote.
    """

    all_reduce: dict[int, float]
    links: dict[str, float]
    clocks: list[float]
    folder: str | None
    unwritable: str
    blind: list[int]


def measure(comm: Communicator, hosts: list[str], folder: Path | None) -> Measures:
    """Measure.

    Args:
        comm: the ranks.
        hosts: of the ranks.
        folder: that all of them should see; None for no look.

    Ranks: every rank; some hundred megabytes in all.
    """
    all_reduce = {size: _all_reduce(comm, size) for size in SIZES}
    unwritable, blind = ("", []) if folder is None else _look_for(comm, folder)
    name = None if folder is None else str(folder)
    return Measures(all_reduce, _links(comm, hosts), _clocks(comm), name, unwritable, blind)


def _all_reduce(comm: Communicator, size: int) -> float:
    buffer = np.zeros(size // 8)
    return _fastest(
        comm, lambda: comm.transport.all_reduce(buffer), _SMALL_TURNS if size <= _SMALL else _TURNS
    )


def _links(comm: Communicator, hosts: list[str]) -> dict[str, float]:
    """Send from root to the first rank of each other machine, one machine after the other."""
    found = {}
    for host in dict.fromkeys(hosts):
        first = hosts.index(host)
        if host == hosts[0]:
            continue
        pair = comm.split(0 if comm.rank in (0, first) else None)
        taken = 0.0 if pair is None else _send(pair)
        found[host] = _LINK_BYTES / comm.broadcast_object(taken)
    return found


def _send(pair: Communicator) -> float:
    buffer, answer, transport = np.zeros(_LINK_BYTES // 8), np.zeros(1), pair.transport

    def send() -> None:
        transport.broadcast(buffer)
        transport.all_reduce(answer)  # a sender might be done when all is still on its way

    taken = _fastest(pair, send, _TURNS)
    pair.close()
    return taken


def _clocks(comm: Communicator) -> list[float]:
    """Compare clocks directly behind a barrier; of several looks the one with the smallest difference counts."""
    looks = []
    for _ in range(_TURNS):
        comm.barrier()
        looks.append(comm.all_gather_object(time.time()))
    ahead = [[stamp - look[0] for stamp in look] for look in looks]
    return [min(column, key=abs) for column in zip(*ahead, strict=True)]


def _look_for(comm: Communicator, folder: Path) -> tuple[str, list[int]]:
    """Return why root cannot write to a folder, and which ranks do not read there what it wrote."""
    path = folder / f".distfit-doctor-{comm.broadcast_object(secrets.token_hex(4))}"
    word = comm.broadcast_object(secrets.token_hex(16))
    problem, seen = "", False
    if comm.is_root:
        try:
            path.write_text(word, encoding="ascii")
        except OSError as error:
            problem = str(error)
    problem = comm.broadcast_object(problem)
    with contextlib.suppress(OSError):  # that is the finding
        seen = path.read_text(encoding="ascii") == word
    blind = [rank for rank, sees in enumerate(comm.all_gather_object(seen)) if not sees]
    if comm.is_root:
        path.unlink(missing_ok=True)
    return problem, [] if problem else blind


def _fastest(comm: Communicator, transfer: Callable[[], object], turns: int) -> float:
    """Return the seconds of the fastest of some transfers, on the rank on which that took longest.

    The ranks agree before, and nothing in `transfer` or between two of them can fail on one rank alone.
    """
    seconds = [0.0] * turns
    comm.reach("a measurement")
    transfer()
    for turn in range(turns):
        began = time.perf_counter()
        transfer()
        seconds[turn] = time.perf_counter() - began
    return float(max(comm.all_gather_object(min(seconds))))
