"""Sums of gradients between machines, cut into pieces that are on their way while others are computed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

import numpy as np

from distfit.comm.exchange import Exchange
from distfit.engines import Engine

PIECE = 262_144  # elements: long enough for what MPI does for each sum not to count


def cut(place: slice, end: Callable[[int], int] = lambda element: element) -> list[slice]:
    """Return the pieces of a place, in order.

    Args:
        place: of a buffer.
        end: returns where a piece ends that is long enough at an element: there, or somewhat behind.

    Example:
        >>> from distfit.training.sums_in_pieces import cut
        >>> cut(slice(10, 300_000))
        [slice(10, 262154, None), slice(262154, 300000, None)]
    """
    pieces, start = [], place.start
    while start < place.stop:
        stop = min(end(start + PIECE), place.stop)
        pieces.append(slice(start, stop))
        start = stop
    return pieces


class SumsInPieces:
    """The sums of all pieces of a buffer, which begin with the last one, and arrive in the order in which they began.

    Args:
        exchange: sums the pieces.
        pieces: of the buffer, in its order.

    Attributes:
        pieces: of the buffer.
        are_open: whether all ranks are bound to begin the sums of this step, whatever happens, and this rank may not
            have waited for all of them yet.

    Ranks: every rank of the exchange, with pieces of the same sizes.
    """

    def __init__(self, exchange: Exchange, pieces: Sequence[slice]) -> None:
        self.pieces = pieces
        self._exchange = exchange
        self._starts = [piece.start for piece in pieces]
        self._first = len(pieces)  # of those whose sums have begun
        self.are_open = False
        exchange.prepare([piece.stop - piece.start for piece in pieces])

    def open(self, buffer: np.ndarray) -> None:
        """Be told that all ranks begin the sums of a buffer, and that none goes back from there.

        Ranks: local, behind an agreement.
        """
        self._buffer = buffer
        self._first = len(self.pieces)
        self.are_open = True

    def begin_from(self, start: int) -> None:
        """Begin the sums of the pieces from `start` on that have not begun, and let the others go on.

        Ranks: local.
        """
        while self._first > 0 and self._starts[self._first - 1] >= start:
            self._first -= 1
            self._exchange.begin(self._first, self._buffer[self.pieces[self._first]])
        self._exchange.advance()

    def take(self, place: slice) -> np.ndarray:
        """Return the sums at a place within the pieces, when they have arrived.

        Ranks: those that have opened the sums.
        """
        self._exchange.advance()
        # It may reach into further pieces, but those lie behind, and began before: they have arrived, too.
        self._exchange.wait(bisect_right(self._starts, place.start) - 1)
        return self._buffer[place]

    def finished_by(self, engine: Engine, weight: float) -> Callable[[slice], np.ndarray]:
        """Return what returns the sums at a place, when they have arrived and the engine has added what is its own.

        Args:
            engine: whose gradients they are.
            weight: the number of values of the loss.
        """

        def finished(place: slice) -> np.ndarray:
            sums = self.take(place)
            engine.finish_sum(weight, [place])
            return sums

        return finished

    def complete(self) -> None:
        """Wait for all of them, if they are open.

        Ranks: those that have opened them.
        """
        if self.are_open and self.pieces:
            self.begin_from(0)
            self._exchange.wait(0)  # which began last

    def close(self) -> None:
        """Wait for all of them, and be done.

        Ranks: those that have opened them.
        """
        self.complete()
        self.are_open = False
