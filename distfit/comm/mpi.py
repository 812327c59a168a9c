"""The one file that talks to MPI."""

import functools
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from mpi4py import MPI

from distfit.comm import shared_memory
from distfit.comm.transport import Pending, Reduction, Transport
from distfit.utils.activity import now

Method = TypeVar("Method", bound=Callable[..., Any])

# Open MPI counts elements with 32 bits: larger buffers go in pieces.
_MOST_ELEMENTS = 1 << 30

_OPERATIONS = {"sum": MPI.SUM, "min": MPI.MIN, "max": MPI.MAX}


def _waiting(method: Method) -> Method:
    """Note for the watchdog that a call may wait for other ranks, and turn an error out of it into the end of the job.

    Such an error cannot be agreed on, since agreeing needs MPI, and the other ranks are in this very call: whatever it
    was, one that went on would wait for ever.
    """

    @functools.wraps(method)
    def wrapped(self: "MpiTransport", *args: Any, **kwargs: Any) -> Any:
        outer, now.waits_for = now.waits_for, self
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            sys.stderr.write(f"\ndistfit: MPI failed on rank {self.rank} ({self.host}); the job ends\n")
            traceback.print_exc()
            sys.stderr.flush()
            self.abort(1)
            raise
        finally:
            now.waits_for = outer
            now.finished += 1

    return wrapped  # type: ignore[return-value]


def _collective(method: Method) -> Method:
    """Count a call with which a collective begins, besides what `_waiting` does."""

    @functools.wraps(method)
    def wrapped(self: "MpiTransport", *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return method(self, *args, **kwargs)

    return _waiting(wrapped)  # type: ignore[return-value]


class MpiTransport(Transport):
    """A group of MPI ranks.

    Args:
        comm: of these ranks.
        owns_it: whether it was made for this group, and is freed with it.

    The group's messages never mix with those of the user or of another library: they travel on duplicates of the
    communicator, one for agreements and one for everything else, which are made at the first collective call. So the
    constructor is not collective.
    """

    def __init__(self, comm: MPI.Comm, *, owns_it: bool = False) -> None:
        self._owns_it = owns_it
        self.rank = comm.Get_rank()
        self.size = comm.Get_size()
        self.host = MPI.Get_processor_name()
        self.library = _library()
        self._given = comm

    @functools.cached_property
    @_collective
    def _agreements(self) -> MPI.Comm:
        return self._given.Dup()

    @functools.cached_property
    @_collective
    def _bulk(self) -> MPI.Comm:
        return self._given.Dup()

    @_collective
    def sum_message(self, message: np.ndarray) -> None:
        self._agreements.Allreduce(MPI.IN_PLACE, message, MPI.SUM)

    @_collective
    def all_reduce(self, buffer: np.ndarray, reduction: Reduction = "sum") -> None:
        for piece in _pieces(buffer):
            self._bulk.Allreduce(MPI.IN_PLACE, piece, _OPERATIONS[reduction])

    @_collective
    def reduce_scatter(self, whole: np.ndarray, counts: Sequence[int], part: np.ndarray) -> None:
        if whole.size <= _MOST_ELEMENTS:
            self._bulk.Reduce_scatter(whole, part, list(counts), MPI.SUM)
            return
        self.all_reduce(whole)
        start = sum(counts[: self.rank])
        part[:] = whole[start : start + part.size]

    @_collective
    def broadcast(self, buffer: np.ndarray, root: int = 0) -> None:
        for piece in _pieces(buffer):
            self._bulk.Bcast(piece, root)

    @_collective
    def all_gather(self, part: np.ndarray, counts: Sequence[int], whole: np.ndarray) -> None:
        if whole.size <= _MOST_ELEMENTS:
            self._bulk.Allgatherv(part, [whole, list(counts)])
            return
        start = 0
        for rank, count in enumerate(counts):
            piece = whole[start : start + count]
            if rank == self.rank:
                piece[...] = part
            self.broadcast(piece, rank)
            start += count

    def prepare_to_begin(self) -> None:
        self._begun, self._gathers  # noqa: B018 - made here, where all ranks are

    @functools.cached_property
    @_collective
    def _begun(self) -> MPI.Comm:
        return self._given.Dup()

    @functools.cached_property
    @_collective
    def _gathers(self) -> MPI.Comm:
        return self._given.Dup()

    @_collective
    def begin_all_reduce(self, buffer: np.ndarray) -> Pending:
        return MpiPending(
            self,
            [self._begun.Iallreduce(MPI.IN_PLACE, piece, MPI.SUM) for piece in _pieces(buffer)],
        )

    @_collective
    def begin_all_to_all(self, sent: np.ndarray, received: np.ndarray) -> Pending:
        return MpiPending(self, [self._begun.Ialltoall(sent, received)])

    @_collective
    def begin_all_gather(self, part: np.ndarray, whole: np.ndarray) -> Pending:
        return MpiPending(self, [self._gathers.Iallgather(part, whole)])

    @_waiting
    def wait_for(self, requests: list[MPI.Request]) -> None:
        """Wait for what has begun."""
        MPI.Request.Waitall(requests)

    @_waiting
    def look_at(self, requests: list[MPI.Request]) -> bool:
        """Say whether what has begun has ended; MPI goes on with all that has, while it looks."""
        return bool(MPI.Request.Testall(requests))

    @_collective
    def gather(self, part: np.ndarray, counts: Sequence[int], whole: np.ndarray) -> None:
        if sum(counts) <= _MOST_ELEMENTS:
            self._bulk.Gatherv(part, [whole, list(counts)] if self.rank == 0 else None)
            return
        if self.rank != 0:
            for piece in _pieces(part):
                self._bulk.Send(piece, 0)
            return
        start = counts[0]
        whole[:start] = part
        for rank, count in enumerate(counts[1:], start=1):
            for piece in _pieces(whole[start : start + count]):
                self._bulk.Recv(piece, rank)
            start += count

    @_collective
    def all_gather_bytes(self, packed: bytes) -> list[bytes]:
        return list(self._bulk.allgather(packed))

    @_collective
    def broadcast_bytes(self, packed: bytes, root: int = 0) -> bytes:
        received: bytes = self._bulk.bcast(packed, root)
        return received

    @_collective
    def split(self, color: int | None, key: int) -> Transport | None:
        part = self._bulk.Split(MPI.UNDEFINED if color is None else color, key)
        return None if part == MPI.COMM_NULL else MpiTransport(part, owns_it=True)

    @_collective
    def node_ranks(self) -> Sequence[int]:
        node = self._bulk.Split_type(MPI.COMM_TYPE_SHARED)
        ranks = list(node.allgather(self.rank))
        node.Free()
        if ranks[0] == self.rank:
            shared_memory.forget_names()
        return ranks

    @_collective
    def free(self) -> None:
        for name in ("_agreements", "_bulk", "_begun", "_gathers"):
            duplicate = vars(self).pop(name, None)
            if duplicate is not None:
                duplicate.Free()
        if self._owns_it:
            self._given.Free()

    def abort(self, status: int) -> None:
        MPI.COMM_WORLD.Abort(status)


class MpiPending(Pending):
    """Requests of MPI.

    Args:
        transport: of the group.
        requests: one for each piece of the array.
    """

    def __init__(self, transport: MpiTransport, requests: list[MPI.Request]) -> None:
        self._transport = transport
        self._requests = requests

    def has_ended(self) -> bool:
        return self._transport.look_at(self._requests)

    def wait(self) -> None:
        self._transport.wait_for(self._requests)


def _pieces(buffer: np.ndarray) -> list[np.ndarray]:
    flat = buffer.reshape(-1)
    return [flat[i : i + _MOST_ELEMENTS] for i in range(0, flat.size, _MOST_ELEMENTS)]


@functools.cache
def _library() -> str:
    """Return name and version: MPICH and Open MPI both tell them at the start of a longer text."""
    if MPI.get_vendor()[0] != "unknown":
        name, version = MPI.get_vendor()
        return f"{name} {'.'.join(map(str, version))}"
    return MPI.Get_library_version().partition("\n")[0].strip()


def world_transport() -> MpiTransport:
    """Return the group of all ranks of the job."""
    world = MpiTransport(MPI.COMM_WORLD)
    if world.size == 1:  # there are no others for whom a name might still be needed
        shared_memory.forget_names()
    return world


def is_world(comm: MPI.Comm) -> bool:
    """Say whether a communicator has all ranks of the job, in the same order."""
    return MPI.Comm.Compare(comm, MPI.COMM_WORLD) in (MPI.IDENT, MPI.CONGRUENT)
