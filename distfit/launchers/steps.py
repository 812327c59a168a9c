"""How far the ranks have come, read from the board on which their watchdogs show it.

A rank that is killed writes nothing down. But its board is memory that lives on as long as anybody maps it.
"""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from distfit.comm.board import ROW, Board, Place


class Steps:
    """The steps of a job's ranks, half a second old at most.

    Args:
        ranks: of the job.

    Ranks: local; the supervisor's. It costs the ranks nothing: the board is there for each other.
    """

    def __init__(self, ranks: int) -> None:
        self._size = ranks
        self._board: Board | None = None

    def look(self, processes: Iterable[int]) -> None:
        """Find the board of all ranks in one of their processes, if it was not found yet.

        Args:
            processes: of the ranks on this machine.
        """
        for process in processes:
            with contextlib.suppress(OSError):
                if self._board is None:
                    self._board = self._found(Path(f"/proc/{process}/fd"))

    def _found(self, descriptors: Path) -> Board | None:
        for path in descriptors.iterdir():
            with contextlib.suppress(OSError):
                target = str(path.readlink())
                if target.startswith("/memfd:distfit-") and path.stat().st_size == self._size * ROW.itemsize:
                    name = target.removeprefix("/memfd:").split()[0]
                    return Board.open(Place(str(path), name), self._size)
        return None

    def of(self, rank: int | None) -> int | None:
        """Return the step of a rank, or of the one that came farthest; None where no training is known of."""
        if self._board is None:
            return None
        steps = self._board.rows["step"]
        return int(steps.max() if rank is None else steps[rank]) or None
