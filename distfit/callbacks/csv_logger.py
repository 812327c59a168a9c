"""Writes the logs of epochs to a CSV file."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import IO, Any

import numpy as np

from distfit.callbacks.callback import Callback, Logs, Ranks


class CSVLogger(Callback):
    """Writes a row for each epoch.

    Args:
        filename: of the file; its folder has to be there.
        separator: between the values of a row.
        append: whether a file that is there is continued. Its header is kept.

    The columns are ``epoch``, from 0, and the keys of the first epoch's logs, sorted; with their ``val_`` twins where
    that epoch had no validation. What is missing is ``NA``; a key that appears later is left out, as in Keras.

    Example:
        >>> from distfit import callbacks
        >>> callbacks.CSVLogger("training.csv").filename
        'training.csv'

    Ranks: root. An error in writing is an error on all ranks.
    """

    ranks: Ranks = "root"

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._file: IO[str] | None = None
        self._keys: list[str] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        path = Path(self.filename)
        self._has_header = self.append and path.exists() and path.stat().st_size > 0
        self._file = path.open("a" if self.append else "w", newline="")
        self._keys = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._file is None:
            raise ValueError("CSVLogger.on_epoch_end before on_train_begin: no file is open")
        values = logs or {}
        writer = csv.writer(self._file, delimiter=self.separator, lineterminator="\n")
        if not self._keys:
            self._keys = sorted(values)
            if not any(key.startswith("val_") for key in self._keys):
                self._keys += [f"val_{key}" for key in self._keys]
            if not self._has_header:
                writer.writerow(["epoch", *self._keys])
        writer.writerow([epoch, *(_text(values[key]) if key in values else "NA" for key in self._keys)])
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        if self._file is not None:
            self._file.close()
            self._file = None


def _text(value: Any) -> Any:
    if not isinstance(value, str) and np.ndim(value):
        return f"[{', '.join(map(str, value))}]"
    return value
