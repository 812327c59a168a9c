"""Raw buffers between ranks: what MPI does, with nothing of distfit's rules in it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np

Reduction = Literal["sum", "min", "max"]


class Pending(ABC):
    """A collective that has begun, and whose arrays nobody may touch until it has ended."""

    @abstractmethod
    def has_ended(self) -> bool:
        """Let what is on its way go on, and say whether it has arrived.

        Ranks: local.
        """

    @abstractmethod
    def wait(self) -> None:
        """Return when it has arrived: when all ranks have begun it, and their numbers are here."""


class Transport(ABC):
    """Moves bytes between the ranks of one group.

    Every method but `abort` is collective and blocks until the other ranks call it too, so none may be reached by
    some ranks only. That is for `Agreement` to see to: distfit calls a method of this class directly after an
    agreement and nowhere else. The three that `begin_…` return at once, and may stand elsewhere, where all ranks are
    bound to come to them in the same order, whatever happens on any of them.

    Attributes:
        rank: this process's number in the group, from 0.
        size: how many there are.
        host: the machine's name.
        library: the MPI library's name and version; empty where there is none.
        calls: how many collectives of the group this rank has begun, for its watchdog.
    """

    rank: int
    size: int
    host: str
    library: str = ""
    calls: int = 0

    @abstractmethod
    def sum_message(self, message: np.ndarray) -> None:
        """Sum the agreement's message, a float64 array of one fixed length, in place over all ranks."""

    @abstractmethod
    def all_reduce(self, buffer: np.ndarray, reduction: Reduction = "sum") -> None:
        """Reduce a contiguous array in place over all ranks."""

    @abstractmethod
    def reduce_scatter(self, whole: np.ndarray, counts: Sequence[int], part: np.ndarray) -> None:
        """Sum contiguous arrays over all ranks, and write to each rank's `part` its `counts` elements of the sum.

        They lie one after the other. What `whole` holds afterwards is undefined.
        """

    @abstractmethod
    def broadcast(self, buffer: np.ndarray, root: int = 0) -> None:
        """Overwrite a contiguous array with root's."""

    @abstractmethod
    def all_gather(self, part: np.ndarray, counts: Sequence[int], whole: np.ndarray) -> None:
        """Write the ranks' one-dimensional parts, of `counts` elements each, one after the other into `whole`."""

    @abstractmethod
    def prepare_to_begin(self) -> None:
        """Make ready what the methods that `begin_…` need: once, before the first of them."""

    @abstractmethod
    def begin_all_reduce(self, buffer: np.ndarray) -> Pending:
        """Begin to sum a contiguous array in place over all ranks."""

    @abstractmethod
    def begin_all_to_all(self, sent: np.ndarray, received: np.ndarray) -> Pending:
        """Begin to send row r of an array to rank r, and to write what that rank sends here into row r of another."""

    @abstractmethod
    def begin_all_gather(self, part: np.ndarray, whole: np.ndarray) -> Pending:
        """Begin to write the ranks' parts, of equal size, one after the other into `whole`.

        Its order among those of its kind is one, and that among the others another.
        """

    @abstractmethod
    def gather(self, part: np.ndarray, counts: Sequence[int], whole: np.ndarray) -> None:
        """Like `all_gather`, into root's `whole` alone."""

    @abstractmethod
    def all_gather_bytes(self, packed: bytes) -> list[bytes]:
        """Return every rank's bytes, in rank order."""

    @abstractmethod
    def broadcast_bytes(self, packed: bytes, root: int = 0) -> bytes:
        """Return root's bytes."""

    @abstractmethod
    def split(self, color: int | None, key: int) -> "Transport | None":
        """Make a group of the ranks with equal `color`, ordered by `key`; None where `color` is None."""

    @abstractmethod
    def node_ranks(self) -> Sequence[int]:
        """Return the group's ranks on this process's machine, in order."""

    @abstractmethod
    def free(self) -> None:
        """Give back what the group took of MPI; nothing may be sent in it from here on."""

    @abstractmethod
    def abort(self, status: int) -> None:
        """End the processes of all ranks."""
