"""Saves how far training has come, and goes on from there after an interruption."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Literal

from distfit.callbacks.batch_count import CountsBatches, batches_between
from distfit.callbacks.callback import Callback, Logs, Ranks
from distfit.checkpoint import Backups


class BackupAndRestore(CountsBatches, Callback):
    """Backs up a training, so that the same program, started again after an interruption, goes on with it.

    Args:
        backup_dir: a folder for the backups of this training alone. It is made where it is missing.
        save_freq: ``"epoch"``, or a number of batches, counted across epochs from the start of `fit`.
        double_checkpoint: whether the backup before the last one is kept, for the case that the last one cannot be
            read.
        delete_checkpoint: whether the backups are removed when training has ended.

    A backup is the weights, the optimizer's state, the seed and the count of steps. When `fit` begins and one is there,
    all ranks continue from it, at the epoch behind it; with the same data and arguments, the epochs that remain give
    the values that they would have given without the interruption, at any number of ranks. A backup from within an
    epoch continues at the start of that epoch, with the weights of the backup, as in Keras. What other callbacks have
    seen, such as the patience of `EarlyStopping`, is not in it.

    A `SwapEMAWeights(swap_on_epoch=True)` stands behind it, or the backup holds averages in the weights' place.

    Where a signal or `TimeLimit` ends a training before it is done, the backup stays, and the next job goes on with it:
    with the epoch that was interrupted, from its start.

    The last backup is there, and whole, whenever the program is ended; see `distfit.checkpoint.Backups`.

    Unlike Keras's, ``save_freq=False`` is an error, and what was restored once plays no part in a later `fit`.

    Raises:
        ValueError: for an empty `backup_dir`, or another `save_freq`; when training begins, on all ranks, if the model
            is not built (give the first layer an `input_shape`), or a backup does not fit it.

    Example:
        >>> import numpy as np, tempfile
        >>> from distfit import Sequential, callbacks, layers
        >>> class PowerCut(callbacks.Callback):
        ...     def on_epoch_begin(self, epoch, logs=None):
        ...         if epoch == 2:
        ...             raise OSError("power cut")
        >>> model = Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile(loss="mean_squared_error")
        >>> x = y = np.ones((4, 1))
        >>> backup = callbacks.BackupAndRestore(tempfile.mkdtemp())
        >>> try:
        ...     model.fit(x, y, epochs=4, callbacks=[backup, PowerCut()], verbose=0)
        ... except OSError as error:
        ...     print(error)
        power cut
        >>> model.fit(x, y, epochs=4, callbacks=[backup], verbose=0).epoch
        [2, 3]

    Ranks: root writes and reads; what it restores reaches all ranks before the first epoch. An error in either is an
        error on all ranks.
    """

    ranks: Ranks = "root"
    state_names = ("_batches",)

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: Literal["epoch"] | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        if not os.fspath(backup_dir):
            raise ValueError(f"backup_dir is the path of a folder. Received: {backup_dir!r}")
        self._batches_between = batches_between("save_freq", save_freq, {"epoch": 0})
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._backups = Backups(backup_dir)
        self._epoch = 0
        if self._batches_between:
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def on_train_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._begin_count()
        if not self.model.built:
            raise ValueError(
                "BackupAndRestore needs a model that has its weights before fit begins, but the shape of the model's"
                " input is not known: give the first layer an input_shape="
            )
        self._restore()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._epoch = epoch
        self._begin_epoch()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:  # noqa: ARG002
        if self.save_freq == "epoch" and not self._is_torn_off():
            self._save(epoch + 1, 0)

    def on_train_end(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        if self.delete_checkpoint and not self.model.interrupted:
            self._backups.remove()

    def _is_torn_off(self) -> bool:
        """Say whether the epoch was interrupted before its last batch: then the next program does it once more."""
        return bool(self.model.interrupted and self.model.progress.has_next)

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:  # noqa: ARG002
        if self._count(batch, self._batches_between):
            self._save(self._epoch, batch + 1)

    def _save(self, epoch: int, batch: int) -> None:
        progress = self.model.progress
        self._backups.write(
            progress.step,
            lambda path: self.model.save_weights(path, include_optimizer=True),
            {"epoch": epoch, "batch": batch, "seed": progress.seed, "step": progress.step},
            keep_previous=self.double_checkpoint,
        )

    def _restore(self) -> None:
        found = self._backups.find()
        if not found:
            return
        last, *previous = found
        try:
            self._restore_from(last)
        except (OSError, ValueError) as error:
            if not previous:
                raise
            self._restore_from(previous[0])
            last.unlink()  # or the next backup would put it in the place of the one that can be read
            warnings.warn(f"the backup before the last one is restored, since: {error}", stacklevel=3)

    def _restore_from(self, path: Path) -> None:
        metadata, progress = self._backups.read(path), self.model.progress
        # Where weights are written, all ranks continue from root's, and from root's optimizer and progress.
        self.model.load_weights(self._backups.weights(metadata))
        progress.initial_epoch, progress.seed, progress.step = (
            metadata["epoch"],
            metadata["seed"],
            metadata["step"],
        )
