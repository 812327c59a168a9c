"""A folder that holds the last backup of a training, whenever the program that writes it is ended."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distfit.checkpoint.atomic import write_atomically

_LAST = "training_metadata.json"
_PREVIOUS = f"{_LAST}.bkp"
_ENDING = ".backup.weights.safetensors"


class Backups:
    """The last backup, and the one before it.

    A backup is two files: the weights, under a name of their own, and metadata that name them. The weights are written
    first, then the metadata, and last what is no longer needed is removed. Each file is whole or absent, so that the
    metadata lead to a whole backup at any moment: the new one as soon as they are there, and the one before until then.

    Args:
        folder: for backups of one training alone. It is made where it is missing.

    Example:
        >>> import tempfile
        >>> from distfit.checkpoint import Backups
        >>> backups = Backups(tempfile.mkdtemp())
        >>> backups.write(7, lambda path: path.write_bytes(b""), {"epoch": 3}, keep_previous=False)
        >>> [found] = backups.find()
        >>> backups.read(found)["epoch"]
        3

    Ranks: local; one rank.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)

    def write(
        self,
        number: int,
        write_weights: Callable[[Path], object],
        metadata: dict[str, Any],
        *,
        keep_previous: bool,
    ) -> None:
        """Write a backup.

        Args:
            number: of the backup; another one than that of the last.
            write_weights: writes the file that it is given the path of, whole or not at all.
            metadata: what JSON can hold.
            keep_previous: whether the last backup is kept as the previous one.

        Raises:
            OSError: and whatever `write_weights` raises; the last backup is there then.
        """
        weights = f"{number:09d}{_ENDING}"
        write_weights(self._folder / weights)
        last, previous = self._folder / _LAST, self._folder / _PREVIOUS
        if keep_previous and last.exists():
            last.replace(previous)
        write_atomically(last, lambda path: _write_json(path, {**metadata, "weights": weights}))
        kept = self.find() if keep_previous else [last]
        self._remove_but({*kept, *(self._folder / self.read(path)["weights"] for path in kept)})

    def find(self) -> list[Path]:
        """Return the metadata files that are there, the last backup's first."""
        return [path for path in (self._folder / _LAST, self._folder / _PREVIOUS) if path.exists()]

    def read(self, path: Path) -> dict[str, Any]:
        """Return the metadata of a backup, with ``"weights"``, the name of their file.

        Raises:
            OSError: if the file cannot be read.
            ValueError: if it is damaged.
        """
        try:
            metadata: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is damaged: {error}. Remove it to begin again") from error
        if "weights" not in metadata:
            raise ValueError(f"{path} names no file of weights. Remove it to begin again")
        return metadata

    def weights(self, metadata: dict[str, Any]) -> Path:
        """Return the path of a backup's weights."""
        return self._folder / str(metadata["weights"])

    def remove(self) -> None:
        """Remove all backups, and the folder unless it holds something else."""
        self._remove_but(set())
        if self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _remove_but(self, kept: set[Path]) -> None:
        for path in {
            self._folder / _LAST,
            self._folder / _PREVIOUS,
            *self._folder.glob(f"*{_ENDING}"),
        } - kept:
            path.unlink(missing_ok=True)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
