"""One rank's view of what the ranks of its group do, from one look at their board to the next.

Time is counted in looks. A job that was suspended, or sits in a debugger, takes none, and so nobody is late in it.
"""

from dataclasses import dataclass

import numpy as np

from distfit.comm.board import Board


@dataclass(frozen=True, slots=True)
class Findings:
    """What one look found.

    Attributes:
        waited: looks since this rank, or the one for which it waits, last got on with its work.
        missing: the ranks for which it waits.
        silent: the ranks that give no sign of life, or are dead.
        waiting: the ranks that wait for this one.
    """

    waited: int
    missing: list[int]
    silent: list[int]
    waiting: list[int]


class Lookout:
    """What a rank knows of the others.

    Args:
        board: their rows.
        rank: of this one.

    Attributes:
        idle: by rank, looks since it last finished a piece of work.
        quiet: by rank, looks since its watchdog last gave a sign of life.
    """

    def __init__(self, board: Board, rank: int) -> None:
        self._rows = board.rows
        self._rank = rank
        self._beats = self._rows["beat"].copy()
        self._finished = self._rows["finished"].copy()
        self.idle = np.zeros(len(self._rows), int)
        self.quiet = np.zeros(len(self._rows), int)

    def look(self, silent_after: int) -> Findings:
        """Look at the board.

        Args:
            silent_after: after how many looks without a sign of life a rank counts as missing.

        Ranks: local.
        """
        beats, finished = self._rows["beat"].copy(), self._rows["finished"].copy()
        known = beats > 0
        self.quiet = np.where((beats != self._beats) | ~known, 0, self.quiet + 1)
        self.idle = np.where(finished != self._finished, 0, self.idle + 1)
        self._beats, self._finished = beats, finished

        calls = self._rows["calls"].copy()
        mine = calls[self._rank]
        silent = self.quiet >= silent_after
        missing = known & ((calls < mine) | silent)
        missing[self._rank] = False
        # Who waits for a rank that is at work, such as root in an evaluation of its own, waits with reason.
        waited = self.idle[self._rank]
        if missing.any():
            waited = min(waited, self.idle[missing].max())
        return Findings(
            int(waited),
            np.flatnonzero(missing).tolist(),
            np.flatnonzero(silent).tolist(),
            np.flatnonzero(known & (calls > mine)).tolist(),
        )

    @property
    def unknown(self) -> list[int]:
        """The ranks of which nothing was ever heard."""
        unknown: list[int] = np.flatnonzero(self._beats == 0).tolist()
        return unknown
