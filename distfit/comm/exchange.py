"""Sums of large arrays over ranks of different machines, which may be on their way while a rank computes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from distfit.comm.transport import Pending, Transport


class Exchange(ABC):
    """Sums arrays over a group of ranks, the same ones at each call.

    Sums that have begun arrive in the order in which they began, which is the same on all ranks.

    Args:
        transport: of the group, on which nobody else begins anything.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    @abstractmethod
    def prepare(self, sizes: Sequence[int]) -> None:
        """Make room for arrays of these sizes, of which there may not be enough.

        Ranks: local. An agreement follows before the first sum, so that no rank waits for one that has failed.
        """

    def all_reduce(self, arrays: list[np.ndarray]) -> None:
        """Sum contiguous one-dimensional arrays in place: afterwards all ranks hold equal ones.

        Ranks: every rank of the group, directly after an agreement.
        """
        for number, array in enumerate(arrays):
            self.begin(number, array)
        for number in range(len(arrays)):
            self.wait(number)

    @abstractmethod
    def begin(self, number: int, array: np.ndarray) -> None:
        """Begin to sum an array in place.

        Args:
            number: of its size among those for which room was made.
            array: contiguous and one-dimensional. Nobody may touch it until it was waited for.

        Ranks: every rank of the group, bound to begin the same sums in the same order, and to wait for them.
        """

    @abstractmethod
    def advance(self) -> None:
        """Let the sums that have begun go on: MPI sends and receives while it is called, and hardly otherwise.

        Ranks: local.
        """

    @abstractmethod
    def wait(self, number: int) -> None:
        """Return when a sum is there, and those that began before it; at once for one that was waited for.

        Ranks: those that have begun it: all of them, sooner or later.
        """


class Exact(Exchange):
    """Sends the numbers as they are.

    Args:
        transport: of the group.
    """

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._underway: dict[int, Pending] = {}

    def prepare(self, sizes: Sequence[int]) -> None:
        """MPI sums in the arrays themselves."""

    def all_reduce(self, arrays: list[np.ndarray]) -> None:
        for array in arrays:
            self.transport.all_reduce(array)

    def begin(self, number: int, array: np.ndarray) -> None:
        self._underway[number] = self.transport.begin_all_reduce(array)

    def advance(self) -> None:
        for pending in self._underway.values():
            if not pending.has_ended():
                return

    def wait(self, number: int) -> None:
        while number in self._underway:
            first = next(iter(self._underway))
            self._underway.pop(first).wait()
