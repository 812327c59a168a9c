"""Layers of several inputs."""

import math
from functools import reduce
from typing import Any

import numpy as np

from distfit import config
from distfit.layers.context import Context
from distfit.layers.layer import Backward, Layer, Shape
from distfit.layers.shapes import wrong_shape


def broadcast_shape(layer: Layer, input_shape: Any) -> Shape:
    """Return the shape that rows of these shapes broadcast to.

    Raises:
        ValueError: for fewer than two, different numbers of dimensions, or sizes that do not match.
    """
    shapes = several_shapes(layer, input_shape)
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise wrong_shape(layer, "with equal sizes, or 1, at each axis", shapes) from None


def several_shapes(layer: Layer, input_shape: Any) -> list[Shape]:
    """Return the shapes of several inputs of as many dimensions.

    Raises:
        ValueError: if it is one shape, or their numbers of dimensions differ.
    """
    shapes = [tuple(shape) for shape in input_shape if not isinstance(shape, int)]
    if len(shapes) < 2 or len({len(shape) for shape in shapes}) > 1:
        raise wrong_shape(layer, "of as many dimensions, in a list of at least two", input_shape)
    return shapes


def unbroadcast(gradient: np.ndarray, shape: Shape) -> np.ndarray:
    """Return the gradient by what was stretched from `shape`: the sum over the axes that were stretched."""
    stretched = tuple(i for i, size in enumerate(shape) if size == 1 and gradient.shape[i] != 1)
    return gradient.sum(stretched, keepdims=True) if stretched else gradient


class Add(Layer):
    """The sum of a list of inputs, axes of size 1 stretched as in NumPy.

    Args:
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Raises:
        ValueError: for fewer than two inputs, or shapes that do not match.

    Example:
        >>> from distfit import layers
        >>> x = layers.Input((4,))
        >>> layers.Add()([x, layers.Dense(4)(x)]).shape
        (4,)
    """

    def output_shape(self, input_shape: Any) -> Shape:
        """Return the shape that the inputs broadcast to."""
        return broadcast_shape(self, input_shape)

    def forward(self, x: list[np.ndarray], context: Context) -> tuple[np.ndarray, Backward]:  # noqa: ARG002
        """Add the inputs."""
        y = reduce(np.add, (np.asarray(array, config.floatx()) for array in x))
        return y, lambda dy: [unbroadcast(dy, array.shape) for array in x]


class Multiply(Layer):
    """The product of a list of inputs, axes of size 1 stretched as in NumPy.

    Args:
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Raises:
        ValueError: for fewer than two inputs, or shapes that do not match.

    Example:
        >>> from distfit import layers
        >>> x = layers.Input((4,))
        >>> layers.Multiply()([x, layers.Dense(4, "sigmoid")(x)]).shape
        (4,)
    """

    def output_shape(self, input_shape: Any) -> Shape:
        """Return the shape that the inputs broadcast to."""
        return broadcast_shape(self, input_shape)

    def forward(self, x: list[np.ndarray], context: Context) -> tuple[np.ndarray, Backward]:  # noqa: ARG002
        """Multiply the inputs."""
        arrays = [np.asarray(array, config.floatx()) for array in x]

        def backward(dy: np.ndarray) -> list[np.ndarray]:
            # Not dy * y / x, which would fail where x is 0.
            others = [arrays[:i] + arrays[i + 1 :] for i in range(len(arrays))]
            return [
                unbroadcast(math.prod(rest, start=dy), array.shape)
                for array, rest in zip(arrays, others, strict=True)
            ]

        return math.prod(arrays[1:], start=arrays[0]), backward


class Concatenate(Layer):
    """A list of inputs, one after the other along an axis.

    Args:
        axis: along which; the batch is axis 0.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Raises:
        ValueError: for the batch's axis, fewer than two inputs, or other axes of different sizes.

    Example:
        >>> from distfit import layers
        >>> layers.Concatenate()([layers.Input((4,)), layers.Input((2,))]).shape
        (6,)
    """

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        if axis == 0:
            raise ValueError("Concatenate cannot join along the batch, whose size is fit's. Received: axis=0")
        self.axis = axis

    def output_shape(self, input_shape: Any) -> Shape:
        """Return the inputs' shape, the sizes along the axis added."""
        shapes = several_shapes(self, input_shape)
        axis = self.axis - 1 if self.axis > 0 else self.axis
        if not -len(shapes[0]) <= axis < len(shapes[0]):
            raise wrong_shape(self, f"that have the axis {self.axis}", shapes)
        axis %= len(shapes[0])
        if len({shape[:axis] + shape[axis + 1 :] for shape in shapes}) > 1:
            raise wrong_shape(self, f"of equal sizes but at axis {self.axis}", shapes)
        return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])

    def forward(self, x: list[np.ndarray], context: Context) -> tuple[np.ndarray, Backward]:  # noqa: ARG002
        """Join the inputs."""
        ends = np.cumsum([array.shape[self.axis] for array in x])[:-1]
        return np.concatenate(x, self.axis), lambda dy: np.split(dy, ends, self.axis)
