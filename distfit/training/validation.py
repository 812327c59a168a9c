"""The validation of an epoch: an evaluation whose values get the prefix ``val_``."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from distfit.callbacks import CallbackList
from distfit.callbacks.dispatch.logs import AggregatedLogs
from distfit.data import Feed, Inputs, LocalPart, read_inputs
from distfit.training.evaluate_loop import evaluate
from distfit.training.feeds import check_together
from distfit.utils.counts import is_count

if TYPE_CHECKING:
    from distfit.training.model import Model


@dataclass(frozen=True, slots=True)
class Validation:
    """What `fit` does after an epoch.

    Attributes:
        model: what is trained.
        feed: the validation data's global batches, or None.
        inputs: the data.
        frequency: validate each so many epochs, or after the epochs of a list.
        callbacks: those of the fit.
    """

    model: Model
    feed: Feed | None
    inputs: Inputs | None
    frequency: Any
    callbacks: CallbackList

    def __call__(self, epoch: int) -> AggregatedLogs:
        """Validate after this epoch, if that is due. What was broken off, since training is to end, has no values.

        Ranks: every rank, in `fit`.
        """
        if self.feed is None or self.inputs is None or not self._is_due(epoch + 1):
            return AggregatedLogs()
        check_next = partial(check_together, inputs=self.inputs, comm=self.model.comm)
        was_interrupted = self.model.interrupted
        logs = evaluate(self.model, self.feed, self.callbacks, check_next, in_training=True).epoch_logs()
        if self.model.interrupted and not was_interrupted:
            return AggregatedLogs()
        return AggregatedLogs({f"val_{name}": value for name, value in logs.items()})

    def _is_due(self, number: int) -> bool:
        if is_count(self.frequency):
            return number % int(self.frequency) == 0
        return number in self.frequency


def check_frequency(frequency: Any) -> None:
    """Raise if this does not say after which epochs to validate.

    Raises:
        ValueError: naming what it may be.
    """
    if not is_count(frequency) and not isinstance(frequency, Collection):
        raise ValueError(
            "validation_freq is a whole number of at least 1, or a list of epochs, of which the first is 1. Received:"
            f" {frequency!r}"
        )


def read_validation(validation_data: Any) -> Inputs:
    """Read the argument `validation_data` of `fit`.

    Raises:
        ValueError: for a tuple that is no ``(x, y)`` or ``(x, y, sample_weight)``.

    Ranks: local.
    """
    if isinstance(validation_data, LocalPart):
        if isinstance(validation_data.data, (tuple, list)):
            parts: list[Any] = [LocalPart(part) for part in validation_data.data]
            return read_inputs(*parts)
        return read_inputs(validation_data)
    if not isinstance(validation_data, (tuple, list)):
        return read_inputs(validation_data)
    if len(validation_data) not in (2, 3):
        raise ValueError(
            f"validation_data is (x, y) or (x, y, sample_weight). Received: {len(validation_data)} parts"
        )
    return read_inputs(*validation_data)
