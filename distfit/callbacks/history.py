"""What happened, epoch by epoch: the callback that `fit` returns."""

from __future__ import annotations

from typing import Any

from distfit.callbacks.callback import Callback, Logs


class History(Callback):
    """Records the logs of each epoch. `fit` adds one behind the user's callbacks, and returns it.

    Attributes:
        epoch: the epochs' numbers, of the last `fit`.
        history: a list of values for each key of the logs; of all fits that used this object.

    Example:
        >>> from distfit import callbacks
        >>> history = callbacks.History()
        >>> history.on_epoch_end(0, {"loss": 0.5})
        >>> history.on_epoch_end(1, {"loss": 0.25})
        >>> history.epoch, history.history
        ([0, 1], {'loss': [0.5, 0.25]})

    Ranks: all; equal on each of them.
    """

    reads_agreed_logs = True
    state_names = ("epoch", "history")

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        model.history = self

    def on_train_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(value)
