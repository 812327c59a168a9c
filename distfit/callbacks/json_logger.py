"""Writes the logs of epochs to a file of JSON lines."""

from __future__ import annotations

import json
import os
from typing import Any

from distfit.callbacks.callback import Callback, Logs, Ranks
from distfit.callbacks.json_values import json_row
from distfit.callbacks.row_file import RowFile


class JSONLogger(Callback):
    """Writes one JSON object for each epoch, on a line of its own.

    Args:
        filename: of the file; its folder has to be there.
        append: whether a file that is there is continued.

    An object holds ``"epoch"``, from 0, and all keys of that epoch's logs, whichever earlier ones had. Arrays are
    lists. JSON has no NaN and no infinity: these are the texts ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, of which
    `float` makes the number again. The file is closed between rows, so that each of them is there to be read as soon as
    its epoch has ended. A training that goes on from a checkpoint cuts the file back to what it was then, and continues
    it.

    Example:
        >>> import tempfile, pathlib
        >>> from distfit import callbacks
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "training.jsonl"
        >>> lines = callbacks.JSONLogger(path)
        >>> lines.on_train_begin()
        >>> lines.on_epoch_end(0, {"loss": 0.5, "val_loss": float("nan")})
        >>> print(path.read_text(), end="")
        {"epoch": 0, "loss": 0.5, "val_loss": "NaN"}

    Ranks: root. An error in writing is an error on all ranks.
    """

    ranks: Ranks = "root"

    def __init__(self, filename: str | os.PathLike[str], append: bool = False) -> None:
        self.filename = os.fspath(filename)
        self.append = append
        self._file = RowFile(filename)

    def on_train_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._file.begin(keep=self.append or self.is_resumed)

    def state_dict(self) -> dict[str, Any]:
        return {"size": self._file.saved_size()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._file.cut(state["size"])

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._file.append(json.dumps(json_row(epoch, logs), allow_nan=False) + "\n")
