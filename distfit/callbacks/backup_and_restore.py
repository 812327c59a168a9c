"""Checkpoints a training, so that it goes on after an interruption as if it had never stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Literal

from distfit.callbacks.batch_count import batches_between
from distfit.callbacks.callback import Callback, Logs, Ranks
from distfit.checkpoint import BackgroundWriter, Checkpoint, Retention, Snapshot, Store
from distfit.utils.activity import doing
from distfit.utils.duration import in_seconds


class BackupAndRestore(Callback):
    """Checkpoints a training, so that the same program, started again after an interruption, goes on with it.

    Args:
        backup_dir: a folder for the checkpoints of this `fit` alone. It is made where it is missing. A program that
            calls `fit` several times has one for each, and ``delete_checkpoint=False`` for all of them.
        save_freq: ``"epoch"``; a number of batches, counted across epochs from the start of `fit`; or a time, as a
            `datetime.timedelta` or as text like ``"00:10:00"`` (see `distfit.utils.duration`).
        double_checkpoint: whether the checkpoint before the last one is kept, too, for the case that the last one
            cannot be read.
        delete_checkpoint: whether the checkpoints are removed when training has ended. With False a program that fails
            behind `fit` need not train again: started again, its `fit` has nothing left to do.
        iterables: what is done where `fit` is given an iterable, and the checkpoint lies behind some of its batches:
            ``"replay"`` reads all of them again, from the training's first on; ``"refuse"`` is an error.
        background: whether training goes on while a checkpoint is written. It takes as much memory again as the weights
            and the optimizer's state, on root.

    When `fit` begins and a checkpoint is there, all ranks go on from it: with the very next batch, in the same order of
    rows, with the same random numbers, optimizer, metrics so far and `History`, and with all callbacks where they were
    (see `Callback.state_dict`). The rest of the training gives what it would have given without the interruption: bit
    by bit on as many ranks as before, and to rounding on any other number. A checkpoint lies behind the hooks of all
    callbacks, wherever in their list this one stands, and behind a whole update, where gradients are accumulated.

    Where a signal or `TimeLimit` ends a training before it is done, a checkpoint is written behind that batch, whatever
    `save_freq` says, and it stays.

    The last checkpoint is there, and whole, whenever the program is ended. One that was damaged later is passed over
    with a warning; see `distfit.checkpoint.Store`.

    Raises:
        RuntimeError: in a loop of one's own.
        ValueError: for an empty `backup_dir`, or another `save_freq` or `iterables`; when training begins, on all
            ranks, if the model is not built (give the first layer an `input_shape`), if a checkpoint is that of another
            model or other data (`DataMismatch`), or if there are some, but none can be read.

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
        [0, 1, 2, 3]

    Ranks: root writes and reads; what it restores reaches all ranks. An error in either is an error on all ranks; one
        in a background write, with the next batch.
    """

    ranks: Ranks = "root"
    state_names = ("_batches",)

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: Literal["epoch"] | int | timedelta | str = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
        *,
        iterables: Literal["replay", "refuse"] = "replay",
        background: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not os.fspath(backup_dir):
            raise ValueError(f"backup_dir is the path of a folder. Received: {backup_dir!r}")
        if iterables not in ("replay", "refuse"):
            raise ValueError(f"iterables is 'replay' or 'refuse'. Received: {iterables!r}")
        self._seconds_between, self._batches_between = _frequency(save_freq)
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self.iterables = iterables
        self.background = background
        self._clock = clock
        self._store = Store(backup_dir)
        self._retention = Retention(last=2 if double_checkpoint else 1)
        self._snapshot = Snapshot()
        self._writer = BackgroundWriter()
        self._batches = 0
        self._is_due = self._is_asked = False
        self._saved_at = 0.0

    def on_train_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        if not self._is_asked:
            raise RuntimeError(
                "BackupAndRestore works in fit, which takes the checkpoints behind all hooks. In a loop of your own,"
                " save model.as_checkpoint(...) to a distfit.checkpoint.Store"
            )
        self._batches, self._is_due, self._saved_at = 0, False, self._clock()

    # -- what fit asks, on root; see distfit.training.recovery --------------------------------------------------------

    def find(self) -> tuple[Path, Checkpoint] | None:
        """Return the newest checkpoint that can be read; None if there is none at all.

        Raises:
            ValueError: if there are some, but none of them can be read.
            OSError: if nothing can be written there: better known now than after the first epoch.

        Ranks: local; root.
        """
        self._is_asked = True
        Path(self.backup_dir).mkdir(parents=True, exist_ok=True)
        if not os.access(self.backup_dir, os.W_OK):
            raise PermissionError(
                f"no checkpoint can be written to {self.backup_dir}: the folder is read-only"
            )
        self._store.tidy()
        found = self._store.newest()
        if found is None and (paths := self._store.paths()):
            raise ValueError(
                f"none of the {len(paths)} checkpoints in {self.backup_dir} can be read. Remove them to train from the"
                " start"
            )
        return found

    def count_batch(self) -> bool:
        """Count a batch that comes next, and say whether a checkpoint is to be written behind it.

        One that is due while the last one is still being written is so behind the first batch after that.

        Raises:
            OSError: if the last one could not be written; and whatever else that raised.

        Ranks: local; root.
        """
        self._writer.check()
        self._batches += 1
        if self._batches_between:
            self._is_due |= self._batches % self._batches_between == 0
        elif self._seconds_between:
            self._is_due |= self._clock() - self._saved_at >= self._seconds_between
        return self._is_due and not self._writer.busy

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, or begin to.

        Args:
            checkpoint: whose arrays training changes as soon as this returns.

        Raises:
            OSError: and whatever else a write raises; the last checkpoint is there then.

        Ranks: local; root.
        """
        self._is_due, self._saved_at = False, self._clock()
        self.wait()
        if self.background:
            copied = self._snapshot.take(checkpoint)
            self._writer.start(lambda: self._store.save(copied, self._retention))
            return
        with self._writing():
            self._store.save(checkpoint, self._retention)

    def wait(self) -> None:
        """Wait for what is being written.

        Raises:
            OSError: and whatever else a write raises.

        Ranks: local; root.
        """
        if self._writer.busy:
            with self._writing():
                self._writer.finish()
        self._writer.check()

    def _writing(self) -> AbstractContextManager[None]:
        """Tell the watchdog what keeps the other ranks waiting."""
        return doing(f"writes a checkpoint to {self.backup_dir}")

    def end(self, *, is_done: bool) -> None:
        """End the training.

        Args:
            is_done: whether it came to its end; the checkpoints of one that was interrupted stay.

        Ranks: local; root.
        """
        self._is_asked = False
        self.wait()
        if is_done and self.delete_checkpoint:
            self._store.remove()


def _frequency(save_freq: Literal["epoch"] | int | timedelta | str) -> tuple[float, int]:
    """Return the seconds and the batches between two checkpoints; 0 for what does not count.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(save_freq, timedelta) or (isinstance(save_freq, str) and ":" in save_freq):
        seconds = in_seconds(save_freq)
        if not seconds:
            raise ValueError(f"the time between two checkpoints is positive. Received: {save_freq!r}")
        return seconds, 0
    return 0.0, batches_between("save_freq", save_freq, {"epoch": 0})
