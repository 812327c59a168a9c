"""Checkpoints of a training while it runs, and the training that goes on from one as if it had never stopped.

A checkpoint is taken between two batches or two epochs, behind all hooks: what every callback holds then fits the
weights. When one is due, root says; its word rides in the message of the step, so that all ranks stop for it behind the
same batch. They have to, where a metric's state is still apart on them. Root alone writes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from distfit.callbacks import BackupAndRestore, CallbackList
from distfit.callbacks.dispatch.logs import AggregatedLogs
from distfit.checkpoint import Checkpoint
from distfit.checkpoint.state_tree import encode
from distfit.data import Feed
from distfit.training.restart import restarts
from distfit.training.scores import Saved
from distfit.training.training_state import (
    Place,
    capture,
    check_training,
    restore_metrics,
    restore_model,
    restore_settings,
)

if TYPE_CHECKING:
    from distfit.training.model import Model


class Recovery:
    """What `fit` does for the `BackupAndRestore` among its callbacks; nothing without one.

    Args:
        model: what is trained.
        callbacks: those of the training. Whether there is a `BackupAndRestore`, root's say.
        feed: the global batches.
        data: describes them, as text by name.
        epochs: the number behind the last one.

    Attributes:
        logs: the last ones that the training which goes on had.
        is_stopped: whether a callback had stopped it within the epoch in which it goes on: that has no more batches.

    Raises:
        ValueError: for more than one `BackupAndRestore`.
    """

    def __init__(
        self, model: Model, callbacks: CallbackList, feed: Feed, data: dict[str, str], epochs: int
    ) -> None:
        found = [one for one in callbacks.callbacks if isinstance(one, BackupAndRestore)]
        if len(found) > 1:
            raise ValueError(f"a training has one BackupAndRestore. Received: {len(found)}")
        self._model = model
        self._callbacks = callbacks
        self._feed = feed
        self._data = data
        self._epochs = epochs
        self._backup = found[0] if found and model.comm.is_root else None
        self._is_active = self._saves_epochs = self._replays = False
        self._checkpoint: Checkpoint | None = None  # on root
        self._state: Mapping[str, Any] | None = None  # that of the checkpoint, on all ranks
        self._first_epoch = model.progress.initial_epoch
        self._trained: tuple[Place, dict[str, Any], Saved] | None = None  # an epoch that is validated
        self._is_broken_off = False
        self.logs = AggregatedLogs()
        self.is_stopped = False

    # -- going on -----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Look for a checkpoint to go on from, before the callbacks are told that training begins.

        Raises:
            ValueError: on all ranks, if none that is there can be read, or it belongs to other data.

        Ranks: every rank; a small message, root's word and, of the checkpoint, all but weights and optimizer.
        """
        backup, comm, progress = self._backup, self._model.comm, self._model.progress
        progress.asks_to_save = progress.is_to_save = False
        if backup is not None:
            self._checkpoint = self._find(backup)
        word = (
            backup is not None,
            backup is not None and backup.save_freq == "epoch",
            backup is not None and backup.iterables == "replay",
            self._checkpoint.state if self._checkpoint else None,
        )
        self._is_active, self._saves_epochs, self._replays, self._state = comm.broadcast_object(word)
        if self._state is not None:
            check_training(self._state, self._data, self._first_epoch, self._epochs)
            self._check_feed(Place.of(self._state))
            told = self._callbacks.expect_states(self._state["callbacks"])
            if backup is not None:
                for text in told:
                    _tell(text)

    def _find(self, backup: BackupAndRestore) -> Checkpoint | None:
        if not self._model.built:
            raise ValueError(
                "BackupAndRestore needs a model that has its weights before fit begins, but the shape of the model's"
                " input is not known: give the first layer an input_shape="
            )
        found = backup.find()
        if found is None:
            if restarts():
                _tell(
                    f"this job was started again, but there is no checkpoint in {backup.backup_dir}: TRAINING BEGINS"
                    " FROM THE START. Is backup_dir the same folder as before, on a disk that all jobs see?"
                )
            return None
        path, checkpoint = found
        if self._callbacks.params.get("verbose") or restarts():
            _tell(f"training goes on from {path}, at {Place.of(checkpoint.state)}")
        return checkpoint

    def _check_feed(self, place: Place) -> None:
        """Raise if the data would have to be read again, and the user does not want that. All ranks do, or none."""
        is_behind = (self._first_epoch, 0) < (place.epoch, place.batch) < (self._epochs, 0)
        if is_behind and not self._feed.is_seekable and not self._replays:
            raise ValueError(
                f"the checkpoint lies at {place}, where an iterable comes to only by being read again from its start."
                " BackupAndRestore(iterables='replay') does that; data that can be indexed need not be"
            )

    def restore(self) -> None:
        """Go on from the checkpoint, behind `on_train_begin`, in which callbacks set themselves back to the start.

        Raises:
            ValueError: on all ranks, if the checkpoint is that of another model. It names the layers that differ.

        Ranks: every rank; a small message, and root's weights and optimizer.
        """
        if self._backup is not None:
            encode(
                self._callbacks.states()
            )  # what has no form on disk is better known now than after an epoch
        if self._state is None:
            return
        self._restore_model()
        model, place = self._model, Place.of(self._state)
        self.logs = AggregatedLogs(self._state["logs"])
        model.progress.initial_epoch = place.epoch
        # By a callback: EarlyStopping knows it from its own state, too, where the same epoch was the last for a job.
        if self._state["is_stopped"] or (model.stop_training and place.batch == 0):
            model.stop_training, self.is_stopped = True, place.batch > 0
            if not self.is_stopped:
                model.progress.initial_epoch = self._epochs

    def _restore_model(self) -> None:
        model, comm = self._model, self._model.comm
        if self._checkpoint is not None:
            restore_model(model, self._checkpoint)
        comm.reach("the restored weights")
        model.shared_state.broadcast(comm)
        if self._state is not None:
            restore_settings(model, self._state)

    def begin_epoch(self, epoch: int) -> tuple[int, dict[str, Any]]:
        """Begin an epoch, or go on within the one in which the checkpoint lies.

        Returns:
            The number of its first batch, and the logs of the one before that.

        Ranks: every rank, alike; as `restore` within the checkpoint's epoch, nothing elsewhere.
        """
        model, progress, state = self._model, self._model.progress, self._state
        model.reset_metrics()
        if state is None or state["epoch"] != epoch:
            self._feed.begin(epoch, progress.seed)
            return 0, {}
        if state["batch"]:
            # Once more: on_epoch_begin came before the checkpoint, and what it changes is in that.
            self._restore_model()
            self._callbacks.load_states()
            restore_metrics(model, state)
        self._feed.resume(epoch, state["batch"], progress.seed, self._first_epoch)
        self._checkpoint = self._state = None
        return state["batch"], (self.logs if state["batch"] else {})

    # -- saving -------------------------------------------------------------------------------------------------------

    def before_step(self) -> None:
        """Find out whether a checkpoint is due behind the next step.

        Raises:
            OSError: if the last one, which was written meanwhile, could not be; and whatever else that raised.

        Ranks: local; on root. The step's message tells the others.
        """
        if self._backup is not None:
            self._model.progress.asks_to_save = self._backup.count_batch()

    def after_batch(self, epoch: int, batch: int, logs: dict[str, Any]) -> None:
        """Save if that is due, or training is to end; not within accumulated gradients, of which no checkpoint knows.

        Args:
            epoch: the number of the epoch.
            batch: how many of its batches are done.
            logs: of the last one.

        Ranks: every rank, alike; nothing where none is due.
        """
        progress, model = self._model.progress, self._model
        if self._is_active and not progress.accumulated and (progress.is_to_save or model.interrupted):
            self._save(Place(epoch, batch), logs, model.scores.saved(model.comm))

    def before_validation(self, epoch: int, batch: int, logs: dict[str, Any]) -> None:
        """Keep what the epoch's metrics have seen, before the ranks bring them together: validation may be broken off.

        Args:
            epoch: the number of the epoch.
            batch: how many batches it had.
            logs: of the last one.

        Ranks: every rank, alike; the sums of metrics that no step carries, if there are any.
        """
        if self._is_active and not self._model.interrupted:
            self._trained = Place(epoch, batch), logs, self._model.scores.saved(self._model.comm)

    def after_validation(self) -> None:
        """Save if the validation was broken off, since training is to end: the next job validates.

        Ranks: every rank, alike; nothing where it came to its end.
        """
        trained, self._trained = self._trained, None
        if trained is not None and self._model.interrupted:
            self._is_broken_off = True
            self._save(*trained)

    def after_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        """Save behind an epoch, if that is due. The rest of one that was interrupted is left to the next job.

        Args:
            epoch: the number of the epoch.
            logs: of the epoch.

        Ranks: every rank, alike; nothing where none is due.
        """
        model, progress = self._model, self._model.progress
        is_torn_off = model.interrupted and (progress.has_next or self._is_broken_off)
        is_due = self._saves_epochs or progress.is_to_save or model.interrupted
        if self._is_active and is_due and not is_torn_off:
            self._save(Place(epoch + 1, 0), logs, None)

    def _save(self, place: Place, logs: dict[str, Any], metrics: Saved | None) -> None:
        model, callbacks = self._model, self._callbacks
        model.progress.is_to_save = False
        callbacks.collect()
        model.update.collect_state()
        if self._backup is not None:
            self._backup.save(capture(model, callbacks, place, logs, metrics, self._data, self._first_epoch))

    # -- the end ------------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Wait for what is being written; the training is done.

        Ranks: local; on root.
        """
        if self._backup is not None:
            self._backup.end(is_done=not self._model.interrupted)

    def __enter__(self) -> Recovery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is being written, where training ends with an error: that one is raised, not the write's."""
        if error is None or self._backup is None:
            return
        try:
            self._backup.wait()
        except Exception as late:
            _tell(f"the last checkpoint could not be written, either: {late}")


def _tell(text: str) -> None:
    """Say something on root, which alone knows it."""
    sys.stderr.write(f"distfit: {text}\n")
    sys.stderr.flush()
