"""A text file that grows row by row, and can be cut back to what it was at a checkpoint."""

from __future__ import annotations

import os
import warnings
from pathlib import Path


class RowFile:
    """A file that is closed between rows, so that each of them is there to be read as soon as it is written.

    Args:
        path: of the file; its folder has to be there.

    Ranks: local; one rank.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def begin(self, *, keep: bool) -> None:
        """Open it once: what cannot be written is better known now than after the first epoch.

        Args:
            keep: whether what it holds already stays.

        Raises:
            OSError: if it cannot be written.
        """
        with self._path.open("a" if keep else "w"):
            pass

    def append(self, text: str) -> None:
        """Write some rows.

        Raises:
            OSError: if they cannot be written.
        """
        with self._path.open("a", newline="", encoding="utf-8") as file:
            file.write(text)

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing yet."""
        return self._path.stat().st_size == 0

    def saved_size(self) -> int:
        """Return its length in bytes, which are on the disk: a checkpoint may count on them."""
        if not self._path.exists():  # nothing was written yet, in a loop of one's own
            return 0
        with self._path.open("rb+") as file:
            os.fsync(file.fileno())
            return os.fstat(file.fileno()).st_size

    def cut(self, size: int) -> None:
        """Take away what was written since it had this length. Training writes it again."""
        present = self._path.stat().st_size
        if present < size:
            warnings.warn(
                f"{self._path} is shorter than at the checkpoint ({present} of {size} bytes): rows of earlier epochs"
                " are missing in it",
                stacklevel=2,
            )
            return
        os.truncate(self._path, size)
