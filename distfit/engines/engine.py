"""What the training loops ask of whatever computes a model: a few methods, and two flat buffers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from distfit.engines.nonfinite import NonFinite
from distfit.losses import Loss
from distfit.optimizers import Optimizer


@dataclass(frozen=True, slots=True)
class Variable:
    """A named weight of a model, as users and files see it.

    Attributes:
        name: such as ``"dense/kernel"``.
        value: a read-only view.
        trainable: whether an optimizer changes it.
        assign: writes it, and counts as a change.
    """

    name: str
    value: np.ndarray
    trainable: bool
    assign: Callable[[Any], None]


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
    """

    training: bool
    seed: int
    number: int
    rows: int
    first_row: int
    sum_over_batch: Callable[[int, np.ndarray, bool], np.ndarray]


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
        y_pred: the model's output for them.
        total: the sum of their losses; 0 where the model has no loss.
        weight: the number of loss values.
    """

    y_pred: Any
    total: float
    weight: float


ComputeLoss = Callable[[Any, Any, Any, Any], LossValue]


class Engine(ABC):
    """Computes a model on one rank's rows. It knows of no other rank, except through `Step.sum_over_batch`.

    Ranks: all methods are local. A rank without rows in a step calls neither `compute_gradients` nor `predict` there.
    """

    @property
    @abstractmethod
    def parameters(self) -> np.ndarray:
        """The flat buffer of all weights, state included: what root broadcasts."""

    @property
    @abstractmethod
    def gradients(self) -> np.ndarray:
        """The flat buffer of the gradients, summed over rows: what is reduced before an update."""

    @property
    @abstractmethod
    def variables(self) -> list[Variable]:
        """All weights by name, in Keras's order."""

    @property
    @abstractmethod
    def version(self) -> int:
        """A number that grows whenever a user writes a weight."""

    @property
    @abstractmethod
    def places(self) -> dict[str, slice]:
        """Where each weight lies in `parameters`, and in each of the optimizer's arrays, by its name."""

    @property
    @abstractmethod
    def layer_state(self) -> list[np.ndarray]:
        """Views of what layers keep themselves, such as moving averages: what a forward pass in training changes."""

    @abstractmethod
    def compile(self, optimizer: Optimizer | None) -> None:
        """Allocate the arenas, bind all weights to them, and give the optimizer its part."""

    @abstractmethod
    def begin_gradients(self) -> None:
        """Forget the gradients of the step before."""

    @abstractmethod
    def finish_gradients(self) -> None:
        """Zero the gradients that no backward pass wrote to, as on a rank without rows."""

    @abstractmethod
    def compute_gradients(
        self, x: Any, y: Any, sample_weight: Any, step: Step, loss: ComputeLoss
    ) -> Evaluated:
        """Add the gradients of this rank's rows, summed over them, to the gradient arena."""

    @abstractmethod
    def find_nonfinite(self, compute: Callable[[], Evaluated]) -> NonFinite | None:
        """Return where in a computation of gradients the first number is not finite; None if all are.

        Args:
            compute: computes them, through `compute_gradients`. What was in the gradient arena is lost.
        """

    @abstractmethod
    def predict(self, x: Any, step: Step) -> Any:
        """Return the model's output for this rank's rows."""

    @abstractmethod
    def penalty(self) -> float:
        """Return what the regularizers of the weights add to the mean loss."""

    @abstractmethod
    def update(self, divisor: float) -> None:
        """Change the weights by the reduced gradients, divided by `divisor`, the number of values of the loss."""

    @abstractmethod
    def absorb_sums(self, layer: int, sums: np.ndarray) -> None:
        """Take what `Step.sum_over_batch` gave in the forward pass, on a rank without rows."""

    @abstractmethod
    def describe(self) -> str:
        """Return the model's structure as text, by which ranks compare what they hold."""
