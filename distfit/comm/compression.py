"""Sums of large arrays over ranks of different machines in half as many bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from distfit.comm.exchange import Exact, Exchange
from distfit.comm.transport import Pending, Transport

_PIECE = 65_536  # elements: what is worked on in the cache


class Bfloat16(Exchange):
    """Sends the upper half of each float32 number, and makes up for the rest in the next call.

    A bfloat16 has float32's range and 8 bits of its precision. What rounding takes away stays on the rank, and is added
    to what it sends next (error feedback: Seide et al., 2014; Karimireddy et al., 2019), so that nothing is lost, but
    comes later. Each rank sums one piece of the array, in float32, and sends the sum rounded in the same way: so all
    ranks end with the same bits.

    A sum takes two transfers, of which the second begins on a rank when the first has arrived there. Both kinds keep
    the order of the sums, each by itself, and so all ranks begin the same ones in the same order.

    Args:
        transport: of the group.

    Ranks: every rank sends and receives 4 bytes for each element less those of its own piece, where float32 takes 8.
    """

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._states: list[_State] = []
        self._underway: list[int] = []  # in order; of these,
        self._summed = 0  # so many have their second transfer under way or behind them,
        self._arrived = 0  # and so many are there

    def prepare(self, sizes: Sequence[int]) -> None:
        if [state.size for state in self._states] != list(sizes):
            self._states = [_State(size, self.transport.size) for size in sizes]

    def begin(self, number: int, array: np.ndarray) -> None:
        self._states[number].begin(self.transport, array)
        self._underway.append(number)

    def advance(self) -> None:
        for number in self._underway[self._summed :]:
            if not self._states[number].pending.has_ended():
                break
            self._share_sum()
        for number in self._underway[self._arrived : self._summed]:
            if not self._states[number].pending.has_ended():
                break
            self._take()

    def wait(self, number: int) -> None:
        if number not in self._underway:
            return
        place = self._underway.index(number)
        while self._summed <= place:
            self._states[self._underway[self._summed]].pending.wait()
            self._share_sum()
        while self._arrived <= place:
            self._states[self._underway[self._arrived]].pending.wait()
            self._take()
        if self._arrived == len(self._underway):
            self._underway, self._summed, self._arrived = [], 0, 0

    def _share_sum(self) -> None:
        self._states[self._underway[self._summed]].share_sum(self.transport)
        self._summed += 1

    def _take(self) -> None:
        self._states[self._underway[self._arrived]].take()
        self._arrived += 1


COMPRESSIONS: dict[str | None, Callable[[Transport], Exchange]] = {None: Exact, "bfloat16": Bfloat16}
"""By the name of a compression, what makes an exchange over a group."""


class _State:
    """What a rank keeps of an array between two calls, with the room for a call: nothing large is allocated in one.

    Attributes:
        pending: the transfer that is under way.
    """

    def __init__(self, size: int, ranks: int) -> None:
        self.size = size
        self._length = -(-size // ranks)
        self._sent, self._received = (np.zeros((ranks, self._length), np.uint16) for _ in range(2))
        self._kept = np.zeros(size, np.float32)
        self._kept_of_sum = np.zeros(self._length, np.float32)
        self._sum = np.zeros(self._length, np.float32)
        self._piece = np.zeros(self._length, np.uint16)
        self._scratch = np.zeros(min(_PIECE, max(size, 1)), np.uint32)
        self._array = self._kept
        self.pending: Pending

    def begin(self, transport: Transport, array: np.ndarray) -> None:
        """Send all ranks their pieces."""
        self._array = array
        with np.errstate(all="ignore"):  # nothing may raise between an agreement and what it announced
            np.add(array, self._kept, out=array)
        self._round(array, self._sent.reshape(-1), self._kept)
        self.pending = transport.begin_all_to_all(self._sent, self._received)

    def share_sum(self, transport: Transport) -> None:
        """Sum this rank's piece, of which all ranks have sent theirs, and send that to all."""
        self._sum[:] = self._kept_of_sum
        for row in self._received:
            self._add(row)
        self._round(self._sum, self._piece, self._kept_of_sum)
        self.pending = transport.begin_all_gather(self._piece, self._received.reshape(-1))

    def take(self) -> None:
        """Write the pieces that have arrived into the array."""
        received = self._received.reshape(-1)
        for start in range(0, self.size, _PIECE):
            stop = min(start + _PIECE, self.size)
            self._array[start:stop] = self._widened(received[start:stop])

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
            with np.errstate(all="ignore"):
                np.subtract(part, rounded.view(np.float32), out=lacking)
            np.copyto(lacking, 0, where=~np.isfinite(lacking))  # infinity must not come back for ever

    def _add(self, row: np.ndarray) -> None:
        for start in range(0, row.size, _PIECE):
            part = self._sum[start : start + _PIECE]
            with np.errstate(all="ignore"):
                np.add(part, self._widened(row[start : start + part.size]), out=part)

    def _widened(self, halves: np.ndarray) -> np.ndarray:
        wide = self._scratch[: halves.size]
        wide[:] = halves
        wide <<= 16
        return wide.view(np.float32)
