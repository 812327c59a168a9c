"""What the training loops ask of whatever computes a model: eight things, and what an engine may add to them.

docs/engines.md shows the least that makes an engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from distfit import losses, optimizers
from distfit.engines.nonfinite import GRADIENTS, LOSS, OUTPUTS, WEIGHTS, NonFinite, find
from distfit.engines.updater import Updater
from distfit.losses import Loss
from distfit.utils.nested import leaves


@dataclass(frozen=True, slots=True)
class Variable:
    """A named weight of a model, as users and files see it.

    Attributes:
        name: such as ``"dense/kernel"``.
        value: a read-only view.
        trainable: whether an optimizer changes it.
        assign: writes it, and counts as a change.
        place: where it lies in `Engine.parameters`, and in each of the optimizer's arrays of that length; None for one
            that lies elsewhere, such as an integer.
        is_state: whether a forward pass in training changes it, as it does moving averages.
    """

    name: str
    value: np.ndarray
    trainable: bool
    assign: Callable[[Any], None]
    place: slice | None = None
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
        y_pred: the model's output for them: a NumPy array, or a tuple, list or dict of them.
        total: the sum of their losses; 0 where the model has no loss.
        weight: the number of loss values.
    """

    y_pred: Any
    total: float
    weight: float


ComputeLoss = Callable[[Any, Any, Any, Any], LossValue]
"""Takes x, y, the model's output and the sample weights, all of them in the engine's own kind of arrays."""


class Engine(ABC):
    """Computes a model on one rank's rows. It knows of no other rank, except through `Step.sum_over_batch`.

    A new engine writes the eight abstract members. All weights of one floating-point dtype lie in one flat buffer of
    its own, and their gradients in another of that length: these are what ranks send, and what an update changes. The
    other methods have an answer already; an engine overrides those of which more is to be said.

    Arrays go in and out as NumPy's, but for what `compute_loss` of a model gets: that is of the engine's own kind, so
    that a user writes a loss in the library of the model.

    Ranks: all methods are local. A rank without rows in a step calls neither `compute_gradients` nor `evaluate` nor
        `predict` there, but may have to `absorb_sums`.
    """

    # -- what an engine has to have ---------------------------------------------------------------------------------

    @property
    @abstractmethod
    def parameters(self) -> np.ndarray:
        """The flat buffer of all floating-point weights, state included: what root broadcasts."""

    @property
    @abstractmethod
    def gradients(self) -> np.ndarray:
        """The flat buffer of the gradients, summed over rows: what is reduced before an update."""

    @property
    @abstractmethod
    def variables(self) -> list[Variable]:
        """All weights by name, in the library's order: as users and files see the model."""

    @abstractmethod
    def compile(self, optimizer: Updater | None) -> None:
        """Allocate both buffers, bind all weights to them, and give the optimizer its part (`Updater.build`).

        Called again when the user compiles again: what is trained may be other weights then.
        """

    @abstractmethod
    def compute_gradients(
        self, x: Any, y: Any, sample_weight: Any, step: Step, loss: ComputeLoss
    ) -> Evaluated:
        """Add the gradients of this rank's rows, summed over them, to the gradient buffer.

        Args:
            x: inputs, NumPy arrays of `step.rows` rows, in the tuple or dict in which the user gave them.
            y: targets, the same; or None.
            sample_weight: ``(rows,)``, or None.
            step: what may be known of the step: the seed and the place of the rows, for what is random in them.
            loss: to be called once with the output; its `LossValue.gradient` is where backward begins.
        """

    @abstractmethod
    def predict(self, x: Any, step: Step) -> Any:
        """Return the model's output for this rank's rows, as NumPy arrays: one, or a tuple, list or dict of them."""

    @abstractmethod
    def update(self, divisor: float) -> None:
        """Change the weights by the reduced gradients, divided by `divisor`, the number of values of the loss."""

    @abstractmethod
    def describe(self) -> str:
        """Return the model's structure as text, by which ranks compare what they hold. Equal for equal models."""

    # -- what an engine may add ---------------------------------------------------------------------------------------

    @property
    def replicated(self) -> dict[str, np.ndarray]:
        """The flat buffers of which all ranks hold equal copies: `parameters` under ``""``, others by name."""
        return {"": self.parameters}

    @property
    def version(self) -> int:
        """A number that grows whenever a user writes a weight; an engine through which none can be written has one."""
        return 0

    @property
    def output_shape(self) -> Any:
        """The shape of one row of the output, a list of them where there are several; None where it is not known.

        Metrics with a value for each output need it.
        """
        return None

    def read_optimizer(self, identifier: Any) -> Updater:
        """Return what `compile` was given as the optimizer; here one of distfit's, or its name.

        Raises:
            ValueError, TypeError: for anything else.
        """
        return optimizers.get(identifier)

    def read_loss(self, identifier: Any) -> Any:
        """Return what `compile` was given as the loss; here one of distfit's, or its name.

        Raises:
            ValueError: for anything else.
        """
        return losses.get(identifier)

    def loss_value(self, loss: Any, y: Any, y_pred: Any, sample_weight: Any) -> LossValue:
        """Return the value of a loss that `read_loss` returned, for arrays of the engine's own kind."""
        return LossValue.of(loss, y, y_pred, sample_weight)

    def begin_gradients(self) -> None:
        """Forget the gradients of the update before."""
        self.gradients.fill(0)

    def finish_gradients(self) -> None:  # noqa: B027 - most engines have nothing to finish
        """Make the gradient buffer ready to be summed over the ranks; zeros on a rank that had no rows."""

    def evaluate(self, x: Any, y: Any, sample_weight: Any, step: Step, loss: ComputeLoss) -> Evaluated:
        """Return the output and the loss of this rank's rows, without gradients.

        The arguments are those of `compute_gradients`, with `step.training` False. An engine whose own arrays are not
        NumPy's overrides it, so that `loss` gets these.
        """
        y_pred = self.predict(x, step)
        value = loss(x, y, y_pred, sample_weight)
        return Evaluated(y_pred, value.total, value.weight)

    def penalty(self) -> float:
        """Return what the regularizers of the weights add to the mean loss."""
        return 0.0

    def absorb_sums(self, layer: int, sums: np.ndarray) -> None:  # noqa: B027 - nor layers that sum
        """Take what `Step.sum_over_batch` gave in the forward pass, on a rank without rows."""

    def traced(self, compute: Callable[[], Evaluated]) -> tuple[Evaluated, list[tuple[str, Any]]]:
        """Compute gradients, and return the outputs of the layers, too, in their order, with what to call them.

        Args:
            compute: computes them, through `compute_gradients`.
        """
        evaluated = compute()
        return evaluated, [("the model's output", array) for _, array in leaves(evaluated.y_pred)]

    def rows_of_summary(self) -> list[tuple[str, str, int, int]]:
        """Return a line for each part of the model: its name, its shape, its weights, and those that are trained."""
        return [
            (v.name, str(v.value.shape), v.value.size, v.value.size if v.trainable else 0)
            for v in self.variables
        ]

    # -- what follows from these ------------------------------------------------------------------------------------

    @property
    def places(self) -> dict[str, slice]:
        """Where each weight lies in `parameters`, and in each of the optimizer's arrays of that length, by its name."""
        return {v.name: v.place for v in self.variables if v.place is not None}

    @property
    def layer_state(self) -> list[np.ndarray]:
        """Writable views of what a forward pass in training changes, such as moving averages."""
        return [self.parameters[v.place] for v in self.variables if v.is_state and v.place is not None]

    def find_nonfinite(self, compute: Callable[[], Evaluated]) -> NonFinite | None:
        """Return where in a computation of gradients the first number is not finite; None if all are.

        Args:
            compute: computes them, through `compute_gradients`. What was in the gradient buffer is lost.
        """
        self.begin_gradients()
        self.finish_gradients()  # what was summed over the ranks stands there still
        self.begin_gradients()
        variables = self.variables
        # Before the layers run, some of which pass what is not finite on to their moving averages.
        weight = find(WEIGHTS, ((f"weight {v.name}", v.value) for v in variables))
        evaluated, outputs = self.traced(compute)
        self.finish_gradients()
        gradients = [
            (f"the gradient of {name}", self.gradients[place]) for name, place in self.places.items()
        ]
        return (
            weight
            or find(OUTPUTS, outputs, by_row=True)
            or find(LOSS, [("the loss", evaluated.total)])
            or find(GRADIENTS, reversed(gradients))  # what was computed first comes first
        )
