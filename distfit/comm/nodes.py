"""The ranks of each machine among those of a group: the memory that they share, and who meets whom between machines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from distfit.comm import memory_file
from distfit.comm.communicator import Communicator
from distfit.comm.lone import LoneTransport
from distfit.comm.memory_file import Place
from distfit.comm.node_memory import Field, NodeMemory, reserve
from distfit.comm.transport import Transport


@dataclass(frozen=True, slots=True)
class Counterparts:
    """The ranks of other machines that have the same number on theirs.

    Attributes:
        parts: how many ranks the machine has that has fewest: all of them have counterparts everywhere.
        transport: between them; of a rank that has none, its own.
        alone: whether there is one machine, so that nothing is sent between any.
    """

    parts: int
    transport: Transport
    alone: bool


_known: WeakKeyDictionary[Communicator, Counterparts] = WeakKeyDictionary()


def counterparts(comm: Communicator) -> Counterparts:
    """Return this rank's.

    Ranks: every rank; two small messages and a few bytes, the first time.
    """
    if comm not in _known:
        sizes = comm.all_gather_object(comm.local_size)
        parts, alone = min(sizes), sizes[0] == comm.size
        transport: Transport | None = None
        if not alone:
            comm.reach("the groups between machines")
            # In the order of their machines: root's is the first, whichever ranks it has.
            color = comm.local_rank if comm.local_rank < parts else None
            transport = comm.transport.split(color, comm.node_ranks[0])
            if transport is not None:
                comm.parts.append(transport)
                transport.prepare_to_begin()
        _known[comm] = Counterparts(parts, transport or LoneTransport(), alone)
    return _known[comm]


def share(
    comm: Communicator,
    fields: Mapping[str, Field],
    gradients: Field,
    *,
    otherwise: str,
    alone_too: bool = False,
) -> NodeMemory | None:
    """Return memory that the ranks of each machine share; None where not all machines have some.

    Args:
        comm: the ranks.
        fields: the arrays that all ranks have in common, by name; of zeros.
        gradients: like an array that each rank has besides.
        otherwise: what is so where there is none, for those who are told why.
        alone_too: whether ranks that are alone on their machines have some, too.

    Ranks: every rank; a few small messages, and some bytes a rank. What fails on one of them is told once, by root, and
        all do without.
    """
    if max(comm.all_gather_object(comm.local_size)) == 1 and not alone_too:
        return None
    size = NodeMemory.bytes_of(fields, gradients, comm.local_size)
    file, offer = _offer(size) if comm.local_rank == 0 else (-1, None)
    offers: list[Place | str | None] = comm.all_gather_object(offer)
    taken = _take(offers[comm.node_ranks[0]], file, comm, fields, gradients)
    problems = [one for one in comm.all_gather_object(taken if isinstance(taken, str) else None) if one]
    if file >= 0:
        os.close(file)  # all have mapped it
    if problems:
        comm.announce(
            f"{otherwise}, since those of a machine could not share memory: {problems[0]}",
            once=f"no shared memory: {otherwise}",
        )
        return None
    return taken if isinstance(taken, NodeMemory) else None


def _offer(size: int) -> tuple[int, Place | str]:
    try:
        return memory_file.make("distfit-weights", size)
    except OSError as error:
        return -1, f"{type(error).__name__}: {error}"


def _take(
    offer: Place | str | None,
    file: int,
    comm: Communicator,
    fields: Mapping[str, Field],
    gradients: Field,
) -> NodeMemory | str:
    """Map what the first rank of this machine offers, or say why not."""
    if not isinstance(offer, Place):
        return str(offer)
    try:
        opened = os.dup(file) if file >= 0 else offer.open()
        try:
            reserve(opened, NodeMemory.stretches(fields, gradients, comm.local_rank, comm.local_size))
            return NodeMemory(opened, fields, gradients, comm.local_size)
        finally:
            os.close(opened)
    except OSError as error:
        return f"{type(error).__name__}: {error}"
