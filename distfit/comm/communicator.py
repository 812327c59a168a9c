"""The ranks that train together, as a user and every other room of distfit see them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from distfit.comm import launch, leaving, watchdog
from distfit.comm.agreement import Agreed, Agreement
from distfit.comm.call_site import call_site
from distfit.comm.lone import LoneTransport
from distfit.comm.operation import Operation
from distfit.comm.packing import pack, unpack
from distfit.comm.phase import Phase, key_of
from distfit.comm.threads import limit_blas_threads
from distfit.comm.transport import Reduction, Transport
from distfit.errors import CollectiveInRootHook

if TYPE_CHECKING:
    from mpi4py import MPI  # noqa: TID251 - a type in a signature; nothing is imported at run time

T = TypeVar("T")

# The solo blocks that this process is in, the innermost last. They are the process's and not one group's: what some
# ranks run, no other group can meet in either.
_solo_blocks: list[str] = []


class Communicator:
    """A group of ranks with its agreement.

    Make one with `world`, `from_mpi`, `alone` or `split`. A group of one rank does everything that a larger one does.

    Every method that says so is for all ranks of the group together. Each begins with the small message of
    `distfit.comm.agreement`: a rank that is elsewhere, or has failed, makes it raise on all of them instead of waiting.

    Example:
        >>> from distfit.comm import Communicator
        >>> comm = Communicator.alone()
        >>> comm.rank, comm.size, comm.is_root
        (0, 1, True)
        >>> comm.all_gather_object("here")
        ['here']
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.rank = transport.rank
        self.size = transport.size
        self.host = transport.host
        self._solo: list[str] = []
        self._announced: set[str] = set()
        self.parts: list[Transport] = []  # further groups of these ranks, which end with this one
        if self.size > 1:
            leaving.register(self)

    @staticmethod
    def world() -> Communicator:
        """Return the group of all ranks of the job; the same object at each call.

        Raises:
            LaunchError: if the job was started in a way that would train N lonely models.

        Ranks: local; MPI starts here. The group's own communicators are made at its first collective call.
        """
        return _world()

    @staticmethod
    def alone() -> Communicator:
        """Return a group of this rank only.

        Ranks: local.
        """
        return Communicator(LoneTransport())

    @staticmethod
    def from_mpi(comm: MPI.Comm) -> Communicator:
        """Return the group of an mpi4py communicator, which is duplicated at the first collective call.

        One of all ranks of the job, in their order, gives `world`: of two groups of the same ranks the one would know
        nothing of an error in the other.

        Ranks: local.
        """
        from distfit.comm.mpi import MpiTransport, is_world

        return Communicator.world() if is_world(comm) else Communicator(MpiTransport(comm))

    @property
    def is_root(self) -> bool:
        """True on rank 0."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """True where there are no other ranks, so that there is nothing to agree on."""
        return self.size == 1

    @functools.cached_property
    def agreement(self) -> Agreement:
        """The group's small messages.

        The first use joins all ranks: it divides the cores of each node among them, and their watchdogs meet.
        """
        if self.size > 1:
            limit_blas_threads(len(self.node_ranks))
            watchdog.watch(self.transport, self.node_ranks)
        return Agreement(self.transport)

    @functools.cached_property
    def node_ranks(self) -> Sequence[int]:
        """The ranks on this machine, in order.

        Ranks: every rank, the first time.
        """
        return self.transport.node_ranks()

    @property
    def local_rank(self) -> int:
        """This process's rank among those of its machine.

        Ranks: every rank, the first time.
        """
        self.agreement  # noqa: B018 - it asks for the node's ranks, in the same order on all ranks
        return self.node_ranks.index(self.rank)

    @property
    def local_size(self) -> int:
        """How many ranks share this machine.

        Ranks: every rank, the first time.
        """
        self.agreement  # noqa: B018
        return len(self.node_ranks)

    def print(self, *values: Any, **options: Any) -> None:
        """Print on root alone.

        Ranks: local; any may call it, root prints.
        """
        if self.is_root:
            print(*values, **{"flush": True, **options})  # noqa: T201

    def announce(self, text: str, *, once: str = "") -> None:
        """Let root say something that is true of several ranks only, once; a rank that trains alone says nothing.

        It is printed and no warning: one that a user turns into an error would be an error of root alone, where the
        others may be in a reduction already.

        Args:
            text: what is said.
            once: the first of what has this name is said. Defaults to the text.

        Ranks: local; any may call it, root prints.
        """
        if self.is_root and self.size > 1 and (once or text) not in self._announced:
            self._announced.add(once or text)
            print(f"distfit: {text}", file=sys.stderr, flush=True)  # noqa: T201

    # -- agreeing ---------------------------------------------------------------------------------------------------

    @property
    def current(self) -> Communicator:
        """The group that works together here: this one, or this rank alone in a solo block."""
        return self._lone if self._is_solo else self

    @property
    def _is_solo(self) -> bool:
        """Whether this rank works alone: in a solo block of this group, or of any if this one has other ranks."""
        return bool(self._solo) or (self.size > 1 and bool(_solo_blocks))

    @functools.cached_property
    def _lone(self) -> Communicator:
        return Communicator.alone()

    @contextmanager
    def solo(self, what: str = "") -> Iterator[None]:
        """Work on this rank's own behalf: models on this group evaluate, predict and save alone in the block.

        Args:
            what: where the block is, for the error of a collective call within.

        Ranks: local; those that want to.
        """
        where = what or f"`with solo()` at {call_site()}"
        self._solo.append(where)
        _solo_blocks.append(where)
        try:
            yield
        finally:
            _solo_blocks.pop()
            self._solo.pop()

    def require_all_ranks(self, what: str) -> None:
        """Raise in a solo block.

        Raises:
            CollectiveInRootHook: naming the block and what was called in it.
        """
        if self._is_solo:
            raise CollectiveInRootHook(
                f"{what} (at {call_site()}) is for all ranks together, but was called in {_solo_blocks[-1]}, which not"
                " all of them run. Move it to a callback with ranks = 'all', or behind fit. evaluate, predict and"
                " save work here: they run on this rank alone."
            )

    def operation(self, name: str) -> Operation:
        """Return a block that all ranks enter and leave together, or from which all raise.

        Ranks: every rank; one small message at each end.
        """
        return Operation(self.current.agreement, name)

    def guard(self) -> Operation:
        """Return a block from which an error reaches the others at their next agreement.

        Ranks: every rank; no message where all goes well.
        """
        return Operation(self.current.agreement)

    def reach(self, point: str, *, has_next: bool = False) -> Agreed:
        """Agree that all ranks are at a point of the program, before something that they do together there.

        Args:
            point: its name, in errors.
            has_next: whether this rank sees a next batch.

        Ranks: every rank; one small message.
        """
        return self.agreement.agree(Phase.POINT, key=key_of(point), name=point, has_next=has_next)

    def of_root(self, array: np.ndarray) -> np.ndarray:
        """Return the array on root and zeros elsewhere: what is root's word in a sum over all ranks.

        Ranks: local.
        """
        return array if self.is_root else np.zeros_like(array)

    def is_among(self, ranks: str) -> bool:
        """Say whether this rank is one of those that ``"all"``, ``"root"`` or ``"local_root"`` names.

        Ranks: local; for ``"local_root"`` every rank, the first time.
        """
        if ranks == "local_root":
            return self.local_rank == 0
        return ranks == "all" or self.is_root

    def on_root(self, action: Callable[[], Any]) -> None:
        """Call `action` on root, within an operation: its error becomes that of all ranks at the next agreement.

        Ranks: every rank calls this, root the action; no message of its own.
        """
        if self.current.is_root:
            action()

    # -- collectives for users -----------------------------------------------------------------------------------------

    def _agree_on(self, name: str, *details: Any) -> Agreed:
        """Agree on a collective call: that all ranks make it, and on what has to be equal in it."""
        self.require_all_ranks(f"{name} of a communicator")
        called = f"{name}({', '.join(map(str, details))})"
        with self.guard():
            return self.agreement.agree(Phase.COLLECTIVE, key=key_of(called), name=called)

    def barrier(self) -> None:
        """Return when every rank has come.

        Ranks: every rank; one small message.
        """
        self._agree_on("barrier")

    def all_reduce(self, buffer: np.ndarray, reduction: Reduction = "sum") -> None:
        """Reduce a contiguous array in place: afterwards every rank holds the sum, the minimum or the maximum.

        Raises:
            ValueError: if the array is not contiguous.

        Ranks: every rank; one small message and the array.

        Example:
            >>> import numpy as np
            >>> from distfit.comm import Communicator
            >>> total = np.array([1.0, 2.0])
            >>> Communicator.alone().all_reduce(total)
            >>> total.tolist()
            [1.0, 2.0]
        """
        if not buffer.flags.c_contiguous:
            raise ValueError(
                "all_reduce works in place and takes a contiguous array: np.ascontiguousarray makes one"
            )
        self._agree_on("all_reduce", _described(buffer), reduction)
        self.transport.all_reduce(buffer, reduction)

    def broadcast(self, buffer: np.ndarray, root: int = 0) -> None:
        """Overwrite a contiguous array with root's.

        Ranks: every rank; one small message and the array.
        """
        if not buffer.flags.c_contiguous:
            raise ValueError(
                "broadcast works in place and takes a contiguous array: np.ascontiguousarray makes one"
            )
        self._agree_on("broadcast", _described(buffer), f"root={root}")
        self.transport.broadcast(buffer, root)

    def broadcast_object(self, value: T, root: int = 0) -> T:
        """Return root's object.

        Ranks: every rank; one small message and the object.
        """
        packed = pack(value)
        self._agree_on("broadcast_object", root)
        received: T = unpack(self.transport.broadcast_bytes(packed, root))
        return received

    def all_gather_object(self, value: T) -> list[T]:
        """Return every rank's object, in rank order.

        Ranks: every rank; one small message and the objects.
        """
        packed = pack(value)
        self._agree_on("all_gather_object")
        return [unpack(one) for one in self.transport.all_gather_bytes(packed)]

    def all_gather(self, part: np.ndarray) -> np.ndarray:
        """Return the ranks' rows one after the other: parts of unequal length along the first axis.

        Ranks: every rank; two small messages, the lengths and the rows.
        """
        flat = np.ascontiguousarray(part).reshape(-1)
        lengths = self.all_gather_object(flat.size)
        whole: np.ndarray = self.gather_parts(flat, lengths)
        return whole.reshape(-1, *part.shape[1:])

    def gather_parts(self, part: np.ndarray, lengths: Sequence[int], *, to_all: bool = True) -> Any:
        """Return the ranks' one-dimensional parts one after the other, on all ranks or on root; None elsewhere.

        Args:
            part: this rank's.
            lengths: of all ranks' parts.
            to_all: whether every rank gets the whole.

        Ranks: every rank; one small message and the parts.
        """
        whole = np.empty(sum(lengths) if to_all or self.is_root else 0, part.dtype)  # before: it may not fit
        self._agree_on("gather_parts", part.dtype, to_all)
        if to_all:
            self.transport.all_gather(part, lengths, whole)
            return whole
        self.transport.gather(part, lengths, whole)
        return whole if self.is_root else None

    def split(self, color: int | None, key: int = 0) -> Communicator | None:
        """Make groups of the ranks with equal `color`; None where it is None.

        Ranks: every rank.
        """
        self._agree_on("split")
        part = self.transport.split(color, key)
        return None if part is None else Communicator(part)

    def close(self) -> None:
        """Leave this group before the program ends.

        Ranks: every rank; one small message.
        """
        self._agree_on("close")
        leaving.unregister(self)
        for transport in (*self.parts, self.transport):
            transport.free()


def _described(buffer: np.ndarray) -> str:
    return f"{buffer.dtype}{list(buffer.shape)}"


@functools.cache
def _world() -> Communicator:
    try:
        with launch.deadline():
            from distfit.comm.mpi import world_transport

            transport = world_transport()
    except (ImportError, RuntimeError) as error:
        launch.no_mpi(error)
        return Communicator.alone()
    launch.check_world(transport.size)
    return Communicator(transport) if transport.size > 1 else Communicator.alone()
