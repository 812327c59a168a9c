"""A layer: its weights, and a forward that returns its output and its backward."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from distfit import initializers
from distfit.layers import regularizers
from distfit.layers.context import Context
from distfit.layers.graph import Node, Tensor, shapes_of, tensors_of
from distfit.layers.parameter import Parameter
from distfit.utils.configured import Configured

Backward = Callable[[np.ndarray], Any]
Shape = tuple[int, ...]


class Layer(Configured, ABC):
    """Base of all layers, a user's own included.

    A layer has three parts: `build` makes its weights when the shape of its input is known, `output_shape` says what
    comes out, and `forward` computes it, together with a function that takes the loss's gradient by the output,
    writes the weights' gradients, and returns the gradient by the input.

    Args:
        name: how summaries and files call it. Defaults to the class's name in snake case.
        trainable: whether the optimizer changes its weights.
        input_shape: of one row; for the first layer of a `Sequential`.

    Example:
        >>> import numpy as np
        >>> from distfit import layers
        >>> class Scale(layers.Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight(input_shape[-1:], initializer="ones", name="factor")
        ...     def forward(self, x, context):
        ...         factor = self.factor.value
        ...         def backward(dy):
        ...             with self.factor.gradient() as out:
        ...                 np.sum(x * dy, axis=tuple(range(x.ndim - 1)), out=out)
        ...             return dy * factor
        ...         return x * factor, backward
        >>> Scale().name
        'scale'

    Ranks: a layer knows of no other rank, except through `Context.sum_over_batch`.

    Attributes:
        tells_of_gradients: whether a class, it alone and none derived from it, calls `Context.gradients_are_written`.
    """

    tells_of_gradients: ClassVar[bool] = False

    def __init__(
        self, *, name: str | None = None, trainable: bool = True, input_shape: Shape | None = None
    ) -> None:
        self.name = name or snake_case(type(self).__name__)
        self.named_by_user = name is not None
        self.trainable = trainable
        self.input_shape = input_shape
        self.parameters: list[Parameter] = []
        self.built = False

    def build(self, input_shape: Any) -> None:
        """Make the weights, with `add_weight`.

        Args:
            input_shape: of one row, without the batch; a list of shapes where the layer takes several inputs.
        """

    def output_shape(self, input_shape: Any) -> Shape:
        """Return the shape of one row of the output; the input's, unless a layer says otherwise."""
        shape: Shape = tuple(input_shape)
        return shape

    @abstractmethod
    def forward(self, x: Any, context: Context) -> tuple[np.ndarray, Backward]:
        """Compute the output of this rank's rows.

        Args:
            x: the input, ``(rows, *input_shape)``; a list of arrays where the layer takes several.
            context: what the layer may know of the step.

        Returns:
            The output ``(rows, *output_shape)``, and a function that takes the gradient of the loss by the output,
            writes the weights' gradients (summed over rows) to `Parameter.gradient`, and returns the gradient by the
            input: a list where there are several, None where `context.needs_input_gradient` is False.
        """

    def absorb_sums(self, sums: np.ndarray) -> None:
        """Take what `Context.sum_over_batch` gave in `forward`, on a rank without rows.

        Such a rank calls no `forward`. A layer that keeps statistics of the global batch updates them here, from
        `forward` on the others, so that they stay equal on all ranks.
        """

    def add_weight(
        self,
        shape: Shape,
        initializer: Any = "glorot_uniform",
        name: str = "weight",
        *,
        trainable: bool = True,
        regularizer: Any = None,
    ) -> Parameter:
        """Add a weight; to be called in `build`.

        Args:
            shape: of the weight.
            initializer: a name of `distfit.initializers` or an object from it.
            name: within the layer.
            trainable: False for state that the layer keeps itself.
            regularizer: ``"l2"`` or an object of `distfit.layers.regularizers`.
        """
        parameter = Parameter(
            name,
            tuple(shape),
            initializers.get(initializer),
            trainable=trainable,
            regularizer=regularizers.get(regularizer),
        )
        self.parameters.append(parameter)
        return parameter

    def ensure_built(self, input_shape: Any) -> None:
        """Call `build` once."""
        if not self.built:
            self.build(input_shape)
            self.built = True

    def __call__(self, inputs: Any) -> Tensor:
        """Connect the layer to symbolic inputs: the functional way to write a model."""
        tensors = tensors_of(inputs)
        input_shape = shapes_of(inputs)
        self.ensure_built(input_shape)
        return Tensor(
            self.output_shape(input_shape), Node(self, tensors, several=isinstance(inputs, (list, tuple)))
        )


def snake_case(name: str) -> str:
    """Turn ``BatchNormalization`` into ``batch_normalization`` and ``Conv2D`` into ``conv2d``, as Keras does."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
