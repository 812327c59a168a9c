"""Ends training when a value no longer gets better."""

from __future__ import annotations

from typing import Any

from distfit.callbacks.callback import Logs
from distfit.callbacks.monitor import Mode, MonitorCallback


class EarlyStopping(MonitorCallback):
    """Ends training when a monitored value no longer gets better.

    Args:
        monitor: key of the logs.
        min_delta: by how much a value has to be better.
        patience: epochs without a better value before training ends.
        verbose: 1 prints when it does, and which weights are put back.
        mode: ``"min"``, ``"max"``, or ``"auto"`` by the metric.
        baseline: a value that has to be beaten, too.
        restore_best_weights: whether the weights of the best epoch are put back at the end, whoever ended it.
        start_from_epoch: epochs before this one are ignored.

    Attributes:
        stopped_epoch: the number of the epoch after which training ended, 0 if it did not.
        best_epoch: the number of the best one.
        best: its value.
        wait: epochs since then.

    As in Keras, a first value that is NaN is beaten by nothing.

    Example:
        >>> from distfit import callbacks
        >>> stopping = callbacks.EarlyStopping(monitor="loss", patience=3, restore_best_weights=True)
        >>> stopping.patience
        3

    Ranks: all; on equal logs, so that all ranks end at the same epoch, and hold the same best weights.
    """

    state_names = ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: Mode = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, None, min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._reset()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if self.stopped_epoch and self.model is not None:  # the job was asked to end in the same epoch
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.monitored(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self.improved(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.improved(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        if self.verbose and self.stopped_epoch:
            self.say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                self.say(f"The weights of epoch {self.best_epoch + 1}, the best, are restored")
            self.model.set_weights(self.best_weights)
