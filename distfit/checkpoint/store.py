"""The checkpoints of one training, in a folder."""

from __future__ import annotations

import os
import re
import warnings
from numbers import Integral, Real
from pathlib import Path
from typing import Literal

from distfit.checkpoint import files, unfinished
from distfit.checkpoint.checkpoint import Checkpoint
from distfit.checkpoint.damage import DamagedCheckpoint
from distfit.checkpoint.folder import fill, glance, load
from distfit.checkpoint.hidden import remove_leftovers
from distfit.checkpoint.retention import Record, Retention, kept, ranked

_NAME = re.compile(r"checkpoint-(?P<number>\d{6,})")


class Store:
    """A series of checkpoints: ``checkpoint-000001``, ``checkpoint-000002`` and so on.

    A number is never used twice, so that no checkpoint is replaced by another one. Whenever the process dies, those
    that have their name are whole. One process at a time writes.

    Args:
        folder: for one training alone. It is made by the first `save`; nothing else in it is touched.

    Example:
        >>> import tempfile
        >>> from distfit.checkpoint import Checkpoint, Retention, Store
        >>> store = Store(tempfile.mkdtemp())
        >>> for epoch in (1, 2, 3):
        ...     path = store.save(Checkpoint(state={"epoch": epoch}), Retention(last=2))
        >>> [path.name for path in store.paths()]
        ['checkpoint-000003', 'checkpoint-000002']
        >>> path, checkpoint = store.newest()
        >>> checkpoint.state["epoch"]
        3

    Ranks: local; one rank. `save` may run in another thread, while nothing else of the store is called.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._damaged: set[Path] = set()
        self._records: dict[Path, Record] = {}

    def save(self, checkpoint: Checkpoint, retention: Retention | None = None) -> Path:
        """Write a checkpoint, and remove those that are no longer kept.

        Args:
            checkpoint: what it holds.
            retention: which are kept. Defaults to the newest one alone.

        Returns:
            The checkpoint's path.

        Raises:
            ValueError: if the retention does not say what is better.
            OSError: and whatever `write_checkpoint` raises. The checkpoints before it are there then.
        """
        kept_ones = retention or Retention()
        kept_ones.check()  # before anything is written
        return self.commit(self.begin(), checkpoint, kept_ones)

    def begin(self) -> Path:
        """Make the hidden folder of the next checkpoint, into which ranks write their parts; see `write_part`.

        Returns:
            Its path, for `commit`, or `abandon` if anything fails in between.

        Raises:
            OSError: if it cannot be made.
        """
        self.tidy()
        return unfinished.begin(self.folder / f"checkpoint-{self.newest_number() + 1:06d}")

    def commit(self, folder: Path, checkpoint: Checkpoint, retention: Retention | None = None) -> Path:
        """Write what one rank holds whole, give the checkpoint its name, and remove those that are no longer kept.

        Args:
            folder: that `begin` made, and into which all parts were written.
            checkpoint: what the parts do not hold.
            retention: which checkpoints are kept. Defaults to the newest one alone.

        Returns:
            The checkpoint's path.

        Raises:
            ValueError: if a part is missing.
            OSError: and whatever `write_checkpoint` raises. The checkpoints before it are there then; or the new one
                is, if it is an older one's removal that failed.
        """
        try:
            fill(folder, checkpoint)
            path = unfinished.finish(folder)
        except BaseException:
            self.abandon(folder)
            raise
        # After `remove`, or where somebody emptied the folder, numbers begin again: this is not the one it was.
        self._damaged.discard(path)
        self._records.pop(path, None)
        self._remove_but(kept([self._record(path) for path in self._whole()], retention or Retention()))
        return path

    def abandon(self, folder: Path) -> None:
        """Remove what `begin` made, after an error. It raises none of its own."""
        unfinished.abandon(folder)

    def paths(self) -> list[Path]:
        """Return the checkpoints that have their name, the newest first."""
        return sorted(filter(Path.is_dir, self._named()), key=_number, reverse=True)

    def newest(self) -> tuple[Path, Checkpoint] | None:
        """Return the newest checkpoint that is not damaged, or None; warn of each that is.

        Raises:
            NewerCheckpoint: if a later distfit wrote one. An older one in its place would undo that work unasked.
            OSError: if one cannot be read.
        """
        for path in self.paths():
            try:
                return path, load(path)
            except DamagedCheckpoint as error:
                self._damaged.add(path)
                warnings.warn(f"{error}. The one before it is used", stacklevel=2)
        return None

    def best(self, monitor: str, mode: Literal["min", "max"]) -> Path | None:
        """Return the checkpoint whose logs have the best value of a metric, the older one of equals; None without any.

        Args:
            monitor: the metric's name, in ``state["logs"]``.
            mode: whether it is better when it is lower or higher.
        """
        by_number = {_number(path): path for path in self._whole()}
        records = [self._record(path) for path in by_number.values()]
        first = ranked(records, Retention(best=1, monitor=monitor, mode=mode))[:1]
        return by_number[first[0].number] if first else None

    def remove_after(self, number: int) -> None:
        """Remove the checkpoints with a higher number: a training that goes on from before them writes them again.

        Raises:
            OSError: if that fails.
        """
        unfinished.remove([path for path in self.paths() if _number(path) > number])

    def newest_number(self) -> int:
        """Return the number of the newest checkpoint that has its name; 0 without any."""
        return max(map(_number, self._named()), default=0)

    def tidy(self) -> None:
        """Remove what was left where a write or a removal was cut off, unless its process may still be at work.

        A save does so first; at the start of a training it gives room. What cannot be removed is warned of.

        Raises:
            OSError: if the folder cannot be read.
        """
        remove_leftovers(self.folder, _NAME)

    def remove(self) -> None:
        """Remove all checkpoints, and the folder unless it holds something else.

        Raises:
            OSError: if that fails.
        """
        unfinished.remove(self.paths())
        self.tidy()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            files.remove_folder(self.folder)

    def _named(self) -> list[Path]:
        """Return whatever has a checkpoint's name."""
        entries = self.folder.iterdir() if self.folder.is_dir() else ()
        return [path for path in entries if _NAME.fullmatch(path.name)]

    def _whole(self) -> list[Path]:
        """Return the paths but those that `newest` found damaged, which are not worth keeping another one less for."""
        return [path for path in self.paths() if path not in self._damaged]

    def _remove_but(self, numbers: set[int]) -> None:
        unfinished.remove(
            [path for path in self.paths() if path in self._damaged or _number(path) not in numbers]
        )

    def _record(self, path: Path) -> Record:
        if path not in self._records:
            self._records[path] = _record(path)
        return self._records[path]


def _record(path: Path) -> Record:
    """Return what retention asks of a checkpoint. One that cannot be read has nothing but its number."""
    try:
        state = glance(path).state
    except (OSError, ValueError):
        return Record(_number(path))
    epoch, logs = state.get("epoch"), state.get("logs")
    return Record(
        _number(path),
        int(epoch) if isinstance(epoch, Integral) else 0,
        {name: float(value) for name, value in logs.items() if isinstance(value, Real)}
        if isinstance(logs, dict)
        else {},
    )


def _number(path: Path) -> int:
    return int(path.name.rpartition("-")[2])
