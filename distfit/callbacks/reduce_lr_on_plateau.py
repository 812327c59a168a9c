"""Lowers the learning rate when a value no longer gets better."""

from __future__ import annotations

from distfit.callbacks import learning_rate
from distfit.callbacks.callback import Logs
from distfit.callbacks.monitor import Mode, MonitorCallback


class ReduceLROnPlateau(MonitorCallback):
    """Lowers the learning rate when a monitored value no longer gets better.

    Args:
        monitor: key of the logs.
        factor: what the learning rate is multiplied by; below 1.
        patience: epochs without a better value before it is lowered.
        verbose: 1 prints each reduction.
        mode: ``"min"``, ``"max"``, or ``"auto"`` by the metric.
        min_delta: by how much a value has to be better.
        cooldown: epochs after a reduction in which none is counted as a bad one.
        min_lr: the learning rate is lowered to this at most.

    Attributes:
        best: the best value so far.
        wait: epochs since then, or since the last reduction.
        cooldown_counter: epochs of the cooldown that are left.

    Raises:
        ValueError: if `factor` is 1 or more.
        TypeError: at the start of training, if a schedule gives the optimizer's learning rate; in Keras, at the first
            reduction.

    The logs of each epoch get the ``learning_rate`` it was trained with. As in Keras, a first value that is NaN is
    beaten by nothing. Unlike Keras's, it takes no arguments that it does not know.

    Example:
        >>> import numpy as np
        >>> from distfit import Sequential, callbacks, layers
        >>> model = Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile(optimizer="sgd", loss="mean_squared_error")
        >>> halve = callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100.0)
        >>> history = model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=3, callbacks=[halve], verbose=0)
        >>> history.history["learning_rate"], model.optimizer.learning_rate
        ([0.01, 0.01, 0.005], 0.0025)

    Ranks: all; on equal logs, so that all ranks lower it at the same epoch.
    """

    state_names = ("best", "wait", "cooldown_counter")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: Mode = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, None, min_delta)
        if not factor < 1.0:
            raise ValueError(f"a learning rate is lowered by a factor below 1. Received: factor={factor}")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._reset()

    def _reset(self) -> None:
        self.best = None
        self.wait = 0
        self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        learning_rate.require_settable(self.model)
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        learning_rate.log(self.model, logs)
        value = self.monitored(logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improved(value, self.best):
            self.best = value
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def in_cooldown(self) -> bool:
        """Say whether epochs of the cooldown are left."""
        return self.cooldown_counter > 0

    def _reduce(self, epoch: int) -> None:
        before = learning_rate.read(self.model)
        if before <= self.min_lr:
            return
        lowered = max(before * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = lowered
        self.cooldown_counter = self.cooldown
        self.wait = 0
        if self.verbose:
            self.say(f"Epoch {epoch + 1}: the learning rate is lowered to {lowered:g}")
