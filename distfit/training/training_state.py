"""What a checkpoint of a training holds, beside the weights: all on which its rest depends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distfit.callbacks import CallbackList
from distfit.checkpoint import Checkpoint
from distfit.errors import DataMismatch
from distfit.training.saving import check_fit
from distfit.training.scores import Saved

if TYPE_CHECKING:
    from distfit.training.model import Model

_SHORT = 400


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a training a checkpoint lies.

    Attributes:
        epoch: with which it goes on.
        batch: of that epoch, with which it goes on.
    """

    epoch: int
    batch: int

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Place:
        """Return the place of a checkpoint with this state."""
        return cls(state["epoch"], state["batch"])

    def __str__(self) -> str:
        return f"epoch {self.epoch + 1}" + (f", batch {self.batch + 1}" if self.batch else "")


def capture(
    model: Model,
    callbacks: CallbackList,
    place: Place,
    logs: dict[str, Any],
    metrics: Saved | None,
    data: dict[str, str],
    first_epoch: int,
) -> Checkpoint:
    """Return what a training holds now. Its arrays are the model's own, and no copies.

    Args:
        model: what is trained.
        callbacks: of the training.
        place: where it is.
        logs: of the last batch or epoch.
        metrics: of the epoch so far; None between epochs.
        data: describes the data, as text by name.
        first_epoch: of the training.

    Raises:
        ModelTorn: if an update of the weights failed half-way.

    Ranks: local; root, of which the other ranks hold no more than equal copies.
    """
    return model.as_checkpoint(
        epoch=place.epoch,
        batch=place.batch,
        first_epoch=first_epoch,
        # Not that time was over: the next job has some of its own.
        is_stopped=bool(model.stop_training and not model.interrupted),
        metrics=metrics,
        logs=dict(logs),
        callbacks=callbacks.states(),
        data=data,
    )


def restore_model(model: Model, checkpoint: Checkpoint) -> None:
    """Write the weights, the optimizer's state, the seed and the counts of a checkpoint.

    Raises:
        ValueError: naming what does not fit. Nothing is changed then.

    Ranks: local; root, whose copies the others get.
    """
    state, variables = checkpoint.state, model.engine.variables
    check_fit(variables, checkpoint.weights, "the checkpoint")
    if state["model"] != model.engine.describe():
        raise ValueError(
            "the checkpoint is that of another model, though the weights would fit:\n   "
            f" it has    {_short(state['model'])}\n    fit got   {_short(model.engine.describe())}\nRemove the"
            " checkpoints to train this one from the start, or give it another backup_dir"
        )
    model.compiled.optimizer.restore(checkpoint.optimizer, state["optimizer"])
    for variable in variables:
        variable.assign(checkpoint.weights[variable.name])
    model.progress.seed, model.progress.step = state["seed"], state["step"]


def restore_settings(model: Model, state: Mapping[str, Any]) -> None:
    """Set what callbacks may have changed, and the weights do not tell: a momentum, the count of skipped updates.

    Ranks: local, on all ranks alike.
    """
    model.shared_state.set_settings(state["settings"])
    model.numerics.skipped = state["updates_skipped"]


def restore_metrics(model: Model, state: Mapping[str, Any]) -> None:
    """Go on with the metrics of an epoch.

    Raises:
        ValueError: if they are other ones.

    Ranks: local, on all ranks alike.
    """
    model.scores.restore(state["metrics"], is_root=model.comm.is_root)


def check_training(state: Mapping[str, Any], data: dict[str, str], first_epoch: int, epochs: int) -> None:
    """Raise if a checkpoint is not one of this training.

    Args:
        state: of the checkpoint.
        data: describes the data of this training, as text by name.
        first_epoch: of this training.
        epochs: the number behind its last one.

    Raises:
        ValueError: if it is that of no training, or of another `fit`.
        DataMismatch: for other data, or other batches. Both name the difference and the remedy.

    Ranks: local; alike on all ranks.
    """
    if "data" not in state:
        raise ValueError(
            "the newest checkpoint in backup_dir holds a model, and no training that could go on: it was written by a"
            " ModelCheckpoint, or by hand. Give BackupAndRestore a folder of its own"
        )
    if state["first_epoch"] != first_epoch or state["epoch"] > epochs:
        raise ValueError(
            f"the newest checkpoint in backup_dir is that of another fit: it began with initial_epoch="
            f"{state['first_epoch']} and is at {Place.of(state)}, and this one has initial_epoch={first_epoch} and"
            f" epochs={epochs}. Give each fit of a program a backup_dir of its own, with delete_checkpoint=False, so"
            " that what is done is not done again"
        )
    before = state["data"]
    for name in {**before, **data}:
        if before.get(name) != data.get(name):
            raise DataMismatch(
                f"training goes on from a checkpoint, but with other data: {name}\n    was     "
                f" {before.get(name, 'missing')}\n    and is   {data.get(name, 'missing')}\nGive fit the same data and"
                " batch_size as before; or remove the checkpoints, to train from the start"
            )


def _short(text: str) -> str:
    return text if len(text) < _SHORT else f"{text[:_SHORT]} …"
