"""Saves the model, or its weights, during training."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from distfit.callbacks.batch_count import CountsBatches, batches_between
from distfit.callbacks.callback import Logs, Ranks
from distfit.callbacks.monitor import Mode, Monitor, MonitorCallback
from distfit.checkpoint import Retention, Store


class ModelCheckpoint(CountsBatches, MonitorCallback):
    """Saves the model, or its weights, after epochs or batches.

    Args:
        filepath: of the file, with fields that are filled in: ``{epoch}``, from 1, and any key of the logs:
            ``"out/{epoch:02d}-{val_loss:.3f}.weights.safetensors"``; ``{batch}`` where `save_freq` is a number. Folders
            are made. A name that ends in ``.weights.safetensors`` or ``.weights.npz`` means weights alone, any other
            ``.safetensors`` the model.
        monitor: key of the logs that says which is the best.
        verbose: 1 prints each save.
        save_best_only: whether only a better value than the best one so far is saved. Where the monitored value is
            missing, there is a warning, and it is saved, as in Keras.
        save_weights_only: whether weights alone are saved; implied by such a name.
        mode: ``"min"``, ``"max"``, or ``"auto"`` by the metric.
        save_freq: ``"epoch"``, or a number of batches, counted across epochs from the start of `fit`. With
            ``steps_per_execution``, at the first call of the batch hook after so many.
        initial_value_threshold: a value that has to be beaten, too.
        retention: where given, `filepath` is the path of a folder, without fields, to which checkpoints are saved, of
            this training alone: weights and the optimizer's state, under numbers; see `distfit.checkpoint.Store`. It
            says which of them are kept, such as ``Retention(last=2, best=3, monitor="val_loss")``. `load_weights`
            reads one.

    Raises:
        ValueError: for another ending, or another `save_freq`.
        KeyError: when it is to save, if the name has a field that the logs have not. On all ranks.

    Unlike Keras's, a number as `save_freq` works with `save_best_only`: batch logs are aggregated over all ranks.

    Example:
        >>> from distfit import callbacks
        >>> saving = callbacks.ModelCheckpoint("out/{epoch}.weights.safetensors")
        >>> saving.save_weights_only
        True

    Ranks: root decides and writes, and `best` is known there; each file is whole or absent, and an error in writing is
        an error on all ranks.
    """

    ranks: Ranks = "root"
    state_names = ("best", "_batches", "_last_batch")

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: Mode = "auto",
        save_freq: Literal["epoch"] | int = "epoch",
        initial_value_threshold: float | None = None,
        *,
        retention: Retention | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only or self.filepath.endswith(
            (".weights.safetensors", ".weights.npz")
        )
        self.retention = retention
        self._store = Store(self.filepath)
        self._check_ending()
        self._batches_between = batches_between("save_freq", save_freq, {"epoch": 0})
        self.save_freq = save_freq
        self._epoch = 0
        if self._batches_between:
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def _check_ending(self) -> None:
        if self.retention is not None:
            if self.filepath.endswith((".safetensors", ".npz")):
                raise ValueError(
                    "with retention=, checkpoints are saved to a folder of their own, which filepath names. Received:"
                    f" filepath={self.filepath!r}"
                )
            return
        endings = (".safetensors", ".npz") if self.save_weights_only else (".safetensors",)
        if not self.filepath.endswith(endings):
            raise ValueError(
                f"{'weights are' if self.save_weights_only else 'a model is'} saved to a file that ends in"
                f" {' or '.join(endings)}; or with retention= to a folder. Received: filepath={self.filepath!r}"
            )

    def on_train_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._begin_count()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._epoch = epoch
        self._begin_epoch()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(logs or {}, (epoch + 1, 0), epoch=epoch + 1)

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        if self._count(batch, self._batches_between):
            self._save(logs or {}, (self._epoch, batch + 1), epoch=self._epoch + 1, batch=batch + 1)

    def _save(self, logs: Logs, done: tuple[int, int], **numbers: int) -> None:
        """Save, if that is to be.

        Args:
            logs: of the epoch or the batch.
            done: epochs, and batches of the one under way.
            numbers: for the file's name, from 1.
        """
        if self.save_best_only and not self._is_best(logs):
            return
        if self.retention is not None:
            path = self._save_checkpoint(self.retention, logs, done)
        else:
            path = self._name(logs, numbers)
            (self.model.save_weights if self.save_weights_only else self.model.save)(path)
        if self.verbose:
            self.say(f"Epoch {self._epoch + 1}: saved {path}")

    def _save_checkpoint(self, retention: Retention, logs: Logs, done: tuple[int, int]) -> str:
        if retention.monitor is not None:
            monitor = Monitor(retention.monitor, retention.mode or "auto")
            monitor.value(
                logs, self.model
            )  # it warns where the metric is missing: such a one is never among the best
            retention = replace(retention, mode=monitor.direction(self.model))
        checkpoint = self.model.as_checkpoint(epoch=done[0], batch=done[1], logs=dict(logs))
        return os.fspath(self._store.save(checkpoint, retention))

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        return state if self.retention is None else {**state, "newest": self._store.newest_number()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if self.retention is not None:
            self._store.remove_after(state["newest"])

    def _name(self, logs: Logs, numbers: dict[str, int]) -> str:
        try:
            return self.filepath.format(**{**logs, **numbers})
        except KeyError as error:
            known = ", ".join({**numbers, **logs})
            raise KeyError(f"{self.filepath!r} has the field {error}, but the logs have: {known}") from None

    def _is_best(self, logs: Logs) -> bool:
        value: Any = self.monitored(logs)
        if value is None:
            return True
        if np.ndim(value):
            warnings.warn(
                f"the monitored {self.monitor!r} is no single number; the model is saved", stacklevel=4
            )
            return True
        if not self.improved(value, self.best):
            return False
        self.best = value
        return True
