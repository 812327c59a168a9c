"""How far the ranks have come, read from the board on which their watchdogs show it.

A rank that is killed writes nothing down. But its board is memory that lives on as long as anybody maps it.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from distfit.comm.board import PURPOSE, ROW, Board
from distfit.comm.memory_file import Place


class Steps:
    """The steps of a job's ranks, half a second old at most.

    Args:
        ranks: of the job.

    Ranks: local; the supervisor's. It costs the ranks nothing: the board is there for each other.
    """

    def __init__(self, ranks: int) -> None:
        self._size = ranks
        self._board: Board | None = None

    def look(self, rank_of: Mapping[int, int]) -> None:
        """Find the board of all ranks, if it was not found yet: the first rank of a machine makes it.

        Args:
            rank_of: ranks of this machine by the number of their process.
        """
        if self._board is None and rank_of:
            first = min(rank_of, key=lambda process: rank_of[process])
            with contextlib.suppress(OSError):
                self._board = self._found(Path(f"/proc/{first}/fd"))

    def _found(self, descriptors: Path) -> Board | None:
        for path in descriptors.iterdir():
            with contextlib.suppress(OSError):
                target = str(path.readlink())
                if (
                    target.startswith(f"/memfd:{PURPOSE}-")
                    and path.stat().st_size == self._size * ROW.itemsize
                ):
                    name = target.removeprefix("/memfd:").split()[0]
                    return Board.open(Place(str(path), name), self._size)
        return None

    def of(self, rank: int | None) -> int | None:
        """Return the step of a rank, or of the one that came farthest; None where no training is known of."""
        if self._board is None:
            return None
        steps = self._board.rows["step"]
        return int(steps.max() if rank is None else steps[rank]) or None
