"""What the training loops ask of whatever computes a model: eight things, and what an engine may add to them.

docs/engines.md shows the least that makes an engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from distfit import losses, optimizers
from distfit.engines.kernels import Kernel
from distfit.engines.nonfinite import GRADIENTS, LOSS, OUTPUTS, WEIGHTS, NonFinite, find
from distfit.engines.updater import Updater
from distfit.engines.values import Evaluated, LossValue, Step, Variable
from distfit.utils.nested import leaves

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

    tells_of_gradients = False
    """Whether `compute_gradients` calls `Step.begin_backward`, and says which gradients are final."""

    gradients_are_sent = True
    """Whether other ranks read the gradient buffer. If not, gradients may lie elsewhere until somebody asks for it."""

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

        Those of `kernels` may lie elsewhere, where the ranks of a machine compute them together.

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

    def read_metric(self, identifier: Any) -> Any:
        """Return what `compile` was given as a metric; here as it is, which is one of distfit's, or its name."""
        return identifier

    def loss_value(self, loss: Any, y: Any, y_pred: Any, sample_weight: Any) -> LossValue:
        """Return the value of a loss that `read_loss` returned, for arrays of the engine's own kind.

        Raises:
            ValueError: for several outputs, which one of distfit's losses cannot compare.
        """
        if isinstance(y_pred, (list, tuple, dict)):
            raise ValueError(
                f"one loss compares y with one output, but the model has {len(y_pred)}: override compute_loss, which"
                " returns a LossValue whose gradient() is a list, one array for each output"
            )
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

    @property
    def own_metrics(self) -> list[Any]:
        """What callbacks of the engine's library look for in `Model.metrics`, behind those that are computed."""
        return []

    @property
    def formats(self) -> tuple[str, ...]:
        """The endings of files which the engine itself reads and writes; see `write_file`."""
        return ()

    def write_file(self, path: str, *, overwrite: bool) -> None:
        """Write the model, or its weights, as its library does.

        Raises:
            OSError: if it cannot be written, or is there and must not be replaced.
        """
        raise NotImplementedError(f"{type(self).__name__} has `formats`, with which goes `write_file`")

    def read_file(self, path: str) -> None:
        """Write to the weights, by `Variable.assign`, what `write_file` wrote.

        Raises:
            OSError, ValueError: if it cannot be read, or does not fit.
        """
        raise NotImplementedError(f"{type(self).__name__} has `formats`, with which goes `read_file`")

    # -- where ranks of one machine hold one copy of the weights; see `training.node_update` -------------------------

    @property
    def common(self) -> int | None:
        """How many elements of `parameters`, from the first on, updates may change; the rest is state.

        None where the buffers cannot lie in memory that is given to the engine. Else it has `move` and `finish_sum`.
        """
        return None

    def move(self, parameters: np.ndarray, gradients: np.ndarray) -> None:
        """Hold the weights, and their gradients, in these buffers from here on. They hold the same already."""
        raise NotImplementedError(f"{type(self).__name__} has `common`, with which goes `move`")

    runs_code_of_the_user = True
    """Whether code of the user's runs within a step that could write to the weights."""

    @property
    def reads_whole_weights(self) -> bool:
        """Whether `finish_sum` looks at more weights than those of its places."""
        return False

    @property
    def kernels(self) -> list[Kernel]:
        """The weights whose gradients ranks may compute together; see `training.node_products`."""
        return []

    def finish_sum(self, divisor: float, places: Sequence[slice]) -> float:
        """Make elements of the gradient buffer ready for the optimizer: what regularizers add, say.

        Args:
            divisor: the number of values of the loss.
            places: of the elements. No others are touched.

        Returns:
            What these gradients, summed over all ranks, are to be divided by.
        """
        raise NotImplementedError(f"{type(self).__name__} has `common`, with which goes `finish_sum`")

    def publish(self) -> None:  # noqa: B027 - most engines train the user's object itself
        """Let the user's own object hold what was learned: when a training has ended."""

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
        return {v.name: v.place for v in self.variables if v.place is not None and not v.buffer}

    @property
    def layer_state(self) -> list[np.ndarray]:
        """Writable views of what a forward pass in training changes, such as moving averages."""
        buffers = self.replicated
        return [buffers[v.buffer][v.place] for v in self.variables if v.is_state and v.place is not None]

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
