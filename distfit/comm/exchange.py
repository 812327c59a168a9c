"""Sums of large arrays over ranks of different machines: as they are, or in half as many bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

from distfit.comm.transport import Transport

_PIECE = 65_536  # elements: what is worked on in the cache


class Exchange(ABC):
    """Sums arrays over a group of ranks, the same ones at each call."""

    @abstractmethod
    def prepare(self, sizes: Sequence[int]) -> None:
        """Make room for arrays of these sizes, of which there may not be enough.

        Ranks: local. An agreement follows before the first `all_reduce`, so that no rank waits for one that has failed.
        """

    @abstractmethod
    def all_reduce(self, arrays: list[np.ndarray]) -> None:
        """Sum contiguous one-dimensional arrays in place: afterwards all ranks hold equal ones.

        Ranks: every rank of the group, directly after an agreement.
        """


class Exact(Exchange):
    """Sends the numbers as they are.

    Args:
        transport: of the group.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def prepare(self, sizes: Sequence[int]) -> None:
        """MPI sums in the arrays themselves."""

    def all_reduce(self, arrays: list[np.ndarray]) -> None:
        for array in arrays:
            self._transport.all_reduce(array)


class Bfloat16(Exchange):
    """Sends the upper half of each float32 number, and makes up for the rest in the next call.

    A bfloat16 has float32's range and 8 bits of its precision. What rounding takes away stays on the rank, and is added
    to what it sends next (error feedback: Seide et al., 2014; Karimireddy et al., 2019), so that nothing is lost, but
    comes later. Each rank sums one piece of the array, in float32, and sends the sum rounded in the same way: so all
    ranks end with the same bits.

    Args:
        transport: of the group.

    Ranks: every rank sends and receives 4 bytes for each element less those of its own piece, where float32 takes 8.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._states: list[_State] = []

    def prepare(self, sizes: Sequence[int]) -> None:
        if [state.size for state in self._states] != list(sizes):
            self._states = [_State(size, self._transport.size) for size in sizes]

    def all_reduce(self, arrays: list[np.ndarray]) -> None:
        for array, state in zip(arrays, self._states, strict=True):
            state.all_reduce(self._transport, array)


COMPRESSIONS: dict[str | None, Callable[[Transport], Exchange]] = {None: Exact, "bfloat16": Bfloat16}
"""By the name of a compression, what makes an exchange over a group."""


class _State:
    """What a rank keeps of an array between two calls, with the room for a call: nothing large is allocated in one."""

    def __init__(self, size: int, ranks: int) -> None:
        self.size = size
        self._length = -(-size // ranks)
        self._sent, self._received = (np.zeros((ranks, self._length), np.uint16) for _ in range(2))
        self._kept = np.zeros(size, np.float32)
        self._kept_of_sum = np.zeros(self._length, np.float32)
        self._sum = np.zeros(self._length, np.float32)
        self._piece = np.zeros(self._length, np.uint16)
        self._scratch = np.zeros(min(_PIECE, max(size, 1)), np.uint32)

    def all_reduce(self, transport: Transport, array: np.ndarray) -> None:
        np.add(array, self._kept, out=array)
        self._round(array, self._sent.reshape(-1), self._kept)
        transport.all_to_all(self._sent, self._received)
        self._sum[:] = self._kept_of_sum
        for row in self._received:
            self._add(row)
        self._round(self._sum, self._piece, self._kept_of_sum)
        transport.all_gather(self._piece, [self._length] * transport.size, self._received.reshape(-1))
        for start in range(0, self.size, _PIECE):
            stop = min(start + _PIECE, self.size)
            array[start:stop] = self._widened(self._received.reshape(-1)[start:stop])

    def _round(self, numbers: np.ndarray, out: np.ndarray, kept: np.ndarray) -> None:
        """Write the nearest bfloat16 of each number, the even one of two (as processors do), and what it lacks."""
        for start in range(0, numbers.size, _PIECE):
            part = numbers[start : start + _PIECE]
            bits = part.view(np.uint32)
            rounded = self._scratch[: part.size]
            np.right_shift(bits, 16, out=rounded)
            rounded &= 1
            rounded += 0x7FFF
            rounded += bits
            rounded >>= 16
            np.copyto(out[start : start + part.size], rounded, casting="unsafe")
            rounded <<= 16
            lacking = kept[start : start + part.size]
            with np.errstate(invalid="ignore"):
                np.subtract(part, rounded.view(np.float32), out=lacking)
            np.copyto(lacking, 0, where=~np.isfinite(lacking))  # infinity must not come back for ever

    def _add(self, row: np.ndarray) -> None:
        for start in range(0, row.size, _PIECE):
            part = self._sum[start : start + _PIECE]
            with np.errstate(over="ignore", invalid="ignore"):
                np.add(part, self._widened(row[start : start + part.size]), out=part)

    def _widened(self, halves: np.ndarray) -> np.ndarray:
        wide = self._scratch[: halves.size]
        wide[:] = halves
        wide <<= 16
        return wide.view(np.float32)
