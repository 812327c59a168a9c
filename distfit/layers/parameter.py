"""A weight of a layer: a place in the model's arena, or an array of its own before the model is built."""

from types import TracebackType
from typing import Any

import numpy as np

from distfit import config
from distfit.initializers import Initializer
from distfit.layers.joint_product import JointProduct
from distfit.layers.regularizers import Regularizer


class Parameter:
    """A named weight with its gradient.

    Attributes:
        name: within its layer, such as ``"kernel"``.
        shape: of the weight.
        trainable: False for state that a layer keeps itself, such as moving statistics.
        initializer: draws the first value.
        regularizer: adds a penalty on the weight to the loss, or None.
        value: the weight, as a read-only view. Write with `assign`.
        is_product: whether the gradient is written by `add_product`.
        rows: of which `add_product` was given the product last.
        joint: computes the gradient together with other ranks; None where each computes that of its own rows.
    """

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        initializer: Initializer,
        *,
        trainable: bool = True,
        regularizer: Regularizer | None = None,
    ) -> None:
        self.name = name
        self.shape = shape
        self.trainable = trainable
        self.initializer = initializer
        self.regularizer = regularizer
        self.version = 0
        self.is_product = False
        self.rows = 0
        self.joint: JointProduct | None = None
        self._fresh = True
        self._is_finished = False
        self._is_joint = False  # whether `joint` has what was written
        self._weight: np.ndarray | None = None
        self._gradient: np.ndarray | None = None

    def initialize(self, generator: np.random.Generator) -> None:
        """Draw the first value, into an array of the parameter's own."""
        self.bind(np.array(self.initializer(self.shape, generator), config.floatx()), None)

    @property
    def initialized(self) -> bool:
        """Whether the weight has a value yet."""
        return self._weight is not None

    def bound_to(self, weight: np.ndarray) -> bool:
        """Say whether this array is the weight's place."""
        return self._weight is weight

    def bind(self, weight: np.ndarray, gradient: np.ndarray | None) -> None:
        """Give the weight its place: views of the model's arenas. The value there is kept.

        Args:
            weight: of the parameter's shape.
            gradient: of the parameter's shape; None for state.
        """
        self._weight = weight
        self._gradient = gradient
        self.joint = None  # which belongs to the buffers where it was
        self.value = weight.view()
        self.value.flags.writeable = False

    def assign(self, value: Any) -> None:
        """Write the weight, in place.

        Raises:
            ValueError: if the shape is another.

        Ranks: local. In a callback on root, the change reaches all ranks when its hook has run.
        """
        array = np.asarray(value)
        if array.shape != self.shape:
            raise ValueError(f"{self.name} has shape {self.shape}. Received: an array of shape {array.shape}")
        if self._weight is None:
            raise TypeError(f"{self.name} has no value yet: its layer belongs to no model")
        self._weight[...] = array
        self.version += 1

    def flat(self) -> np.ndarray:
        """Return the weight as one row that may be written, for what all ranks are to hold alike."""
        if self._weight is None:
            raise TypeError(f"{self.name} has no value yet: its layer belongs to no model")
        return self._weight.reshape(-1)

    def store(self, value: np.ndarray) -> None:
        """Write state that the layer keeps itself, in place: no change by the user, which would have to be shared.

        Args:
            value: of the parameter's shape, equal on all ranks.
        """
        if self._weight is None:
            raise TypeError(f"{self.name} has no value yet: its layer belongs to no model")
        self._weight[...] = value

    def gradient(self) -> "GradientWrite":
        """Return a block that gives an array for this parameter's gradient, summed over the rows, to be written there.

        The first write of a step goes straight to the arena, so that nothing has to be zeroed and added; a further one
        (a layer that is used twice, accumulation over batches) goes to a scratch array and is added.

        Example (in the backward of a layer ``y = x @ kernel``):
            ``with self.kernel.gradient() as out: np.matmul(x.T, dy, out=out)``
        """
        if self._gradient is None:
            raise TypeError(f"{self.name} is a layer's state and has no gradient")
        self._check_open()
        first, self._fresh = self._fresh, False
        if self.joint is not None:
            if first:
                self.joint.leave()
            elif self._is_joint:
                self.joint.withdraw(self._gradient)
            self._is_joint = False
        return GradientWrite(self._gradient, first=first)

    def add_product(self, x: np.ndarray, dy: np.ndarray) -> None:
        """Add the gradient ``x.T @ dy`` of a kernel in ``y = x @ kernel``.

        Args:
            x: ``(rows, inputs)``.
            dy: ``(rows, units)``.
        """
        self._check_open()
        self.rows = len(x)
        if self._fresh and self.joint is not None and self.joint.take(x, dy):
            self._fresh, self._is_joint = False, True
            return
        with self.gradient() as out:
            np.matmul(x.T, dy, out=out)

    def _check_open(self) -> None:
        if self._is_finished:
            raise RuntimeError(
                f"a gradient of the weight {self.name!r} is written when it was finished already, and may be under way"
                " to other ranks. Where a layer uses weights of another one, call compile(overlap=False)"
            )

    def begin_gradient(self) -> None:
        """Forget the gradient: the next write replaces it."""
        self._fresh, self._is_joint, self._is_finished = True, False, False

    def finish_gradient(self) -> None:
        """Zero the gradient if no backward wrote to it, as on a rank without rows. It is not written any more."""
        self._is_finished = True
        if self._fresh and self._gradient is not None:
            if self.joint is None:
                self._gradient[...] = 0
            else:
                self.joint.clear()
            self._fresh = False

    def add_penalty_gradient(self, factor: float, place: slice = slice(None)) -> None:
        """Add `factor` times the gradient of the regularizer's penalty to the gradient.

        Args:
            factor: any number.
            place: the elements to which it is added, of the weight as one row.
        """
        if self.regularizer is None or self._gradient is None:
            return
        gradient, value = self._gradient.reshape(-1)[place], self.value.reshape(-1)
        if not gradient.size:
            return
        if self.regularizer.is_elementwise:
            gradient += factor * self.regularizer.gradient(value[place])
        else:
            gradient += (factor * self.regularizer.gradient(self.value)).reshape(-1)[place]


class GradientWrite:
    """A block in which a gradient is written; see `Parameter.gradient`."""

    __slots__ = ("_first", "_gradient", "_target")

    def __init__(self, gradient: np.ndarray, *, first: bool) -> None:
        self._gradient = gradient
        self._first = first
        self._target = gradient if first else np.empty_like(gradient)

    def __enter__(self) -> np.ndarray:
        return self._target

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._first and error is None:
            self._gradient += self._target
