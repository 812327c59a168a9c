"""Writes the logs of epochs to a CSV file."""

from __future__ import annotations

import csv
import io
import os
from typing import Any

import numpy as np

from distfit.callbacks.callback import Callback, Logs, Ranks
from distfit.callbacks.row_file import RowFile


class CSVLogger(Callback):
    """Writes a row for each epoch.

    Args:
        filename: of the file; its folder has to be there.
        separator: between the values of a row.
        append: whether a file that is there is continued. Its header is kept.

    The columns are ``epoch``, from 0, and the keys of the first epoch's logs, sorted; with their ``val_`` twins where
    that epoch had no validation. What is missing is ``NA``; a key that appears later is left out, as in Keras. The file
    is closed between rows, so that each of them is there to be read as soon as its epoch has ended. A training that
    goes on from a checkpoint cuts the file back to what it was then, and continues it.

    Example:
        >>> import tempfile, pathlib
        >>> from distfit import callbacks
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "training.csv"
        >>> rows = callbacks.CSVLogger(path)
        >>> rows.on_train_begin()
        >>> rows.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.75})
        >>> print(path.read_text(), end="")
        epoch,loss,val_loss
        0,0.5,0.75

    Ranks: root. An error in writing is an error on all ranks.
    """

    ranks: Ranks = "root"
    state_names = ("_keys",)

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._keys: list[str] | None = None
        self._file = RowFile(filename)

    def on_train_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._keys = None
        self._file.begin(keep=self.append or self.is_resumed)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "size": self._file.saved_size()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._file.cut(state["size"])

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        values = logs or {}
        rows: list[list[Any]] = []
        if self._keys is None:
            self._keys = _columns(values)
        if self._file.is_empty:
            rows.append(["epoch", *self._keys])
        rows.append([epoch, *(_text(values.get(key, "NA")) for key in self._keys)])
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self.separator, lineterminator="\n").writerows(rows)
        self._file.append(text.getvalue())


def _columns(values: Logs) -> list[str]:
    keys = sorted(values)
    if any(key.startswith("val_") for key in keys):
        return keys
    return [*keys, *(f"val_{key}" for key in keys)]


def _text(value: Any) -> Any:
    if not isinstance(value, str) and np.ndim(value):
        return f"[{', '.join(map(str, value))}]"
    return value
