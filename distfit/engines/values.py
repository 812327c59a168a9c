"""What goes in and out of an engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from distfit.losses import Loss


@dataclass(frozen=True, slots=True)
class Variable:
    """A named weight of a model, as users and files see it.

    Attributes:
        name: such as ``"dense/kernel"``.
        value: a read-only view.
        trainable: whether an optimizer changes it.
        assign: writes it, and counts as a change.
        place: where it lies in its buffer, and, if that is `Engine.parameters`, in each of the optimizer's arrays of
            that length; None while it has none.
        buffer: the name of that buffer in `Engine.replicated`.
        is_state: whether a forward pass in training changes it, as it does moving averages.
    """

    name: str
    value: np.ndarray
    trainable: bool
    assign: Callable[[Any], None]
    place: slice | None = None
    buffer: str = ""
    is_state: bool = False


@dataclass(slots=True)
class Step:
    """What an engine may know of the step that it computes a part of.

    Attributes:
        training: False in evaluation and prediction.
        seed: of everything random.
        number: the global batch's, since the start of training.
        rows: how many rows this rank holds, at least 1.
        first_row: the place of the first of them within the global batch.
        sum_over_batch: ``(layer, array, backward) -> sum``: an agreement of the ranks that hold rows. `layer` is the
            number under which `Engine.absorb_sums` finds the layer on the other ranks.
        begin_backward: to be called between forward and backward, once; an agreement. None where nobody asks.
        gradients_are_final: ``(start) -> None``: may be told in backward that elements of the gradient buffer from
            `start` on will not change any more; they are sent from there on. None where nobody asks.
    """

    training: bool
    seed: int
    number: int
    rows: int
    first_row: int
    sum_over_batch: Callable[[int, np.ndarray, bool], np.ndarray]
    begin_backward: Callable[[], None] | None = None
    gradients_are_final: Callable[[int], None] | None = None


@dataclass(frozen=True, slots=True)
class LossValue:
    """The loss of some rows, undivided.

    Attributes:
        total: the sum of the (weighted) values.
        weight: what the sum over all ranks is divided by: the number of values.
        gradient: returns the gradient of `total` by the model's output; not called in evaluation.
    """

    total: float
    weight: float
    gradient: Callable[[], Any]

    @classmethod
    def of(cls, loss: Loss, y: Any, y_pred: Any, sample_weight: Any) -> LossValue:
        """Return the value of a loss of `distfit.losses`.

        Args:
            loss: compares `y` with `y_pred` for each row.
            y: targets.
            y_pred: the model's output.
            sample_weight: ``(rows,)``, or None. Weights the sum, not its divisor, as in Keras.
        """
        values, backward = loss.forward(y, y_pred)
        if sample_weight is None:
            return cls(float(values.sum(dtype=np.float64)), values.size, lambda: backward(None))
        column = np.asarray(sample_weight, values.dtype).reshape(-1, *[1] * (values.ndim - 1))
        weights = np.broadcast_to(column, values.shape)
        return cls(float((values * weights).sum(dtype=np.float64)), values.size, lambda: backward(weights))


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What one rank's rows gave.

    Attributes:
        y_pred: the model's output for them: a NumPy array, or a tuple, list or dict of them.
        total: the sum of their losses; 0 where the model has no loss.
        weight: the number of loss values.
    """

    y_pred: Any
    total: float
    weight: float
