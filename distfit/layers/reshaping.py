"""Layers that compute nothing: they give the numbers of a row another shape."""

import math
from typing import Any

import numpy as np

from distfit.layers.context import Context
from distfit.layers.layer import Backward, Layer, Shape
from distfit.layers.shapes import wrong_shape


class Reshape(Layer):
    """Rows in another shape.

    Args:
        target_shape: of a row; one size may be -1, which is whatever is left.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Raises:
        ValueError: if more than one size is -1, or a row has another number of numbers.

    Example:
        >>> from distfit import layers
        >>> layers.Reshape((-1, 2))(layers.Input((6,))).shape
        (3, 2)
    """

    def __init__(self, target_shape: Shape, **options: Any) -> None:
        super().__init__(**options)
        self.target_shape = tuple(target_shape)
        if self.target_shape.count(-1) > 1 or any(size < -1 for size in self.target_shape):
            raise ValueError(f"sizes are not negative, but for one -1. Received: target_shape={target_shape}")

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the target shape, -1 replaced."""
        size = math.prod(input_shape)
        known = math.prod(n for n in self.target_shape if n != -1)
        shape = tuple(size // max(known, 1) if n == -1 else n for n in self.target_shape)
        if math.prod(shape) != size:
            raise wrong_shape(self, f"that can become {self.target_shape}", tuple(input_shape))
        return shape

    def forward(self, x: np.ndarray, context: Context) -> tuple[np.ndarray, Backward]:  # noqa: ARG002
        """Reshape the rows."""
        return x.reshape(len(x), *self.output_shape(x.shape[1:])), lambda dy: dy.reshape(x.shape)


class Flatten(Layer):
    """Rows of one dimension.

    Args:
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Example:
        >>> from distfit import layers
        >>> layers.Flatten()(layers.Input((28, 28))).shape
        (784,)
    """

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return how many numbers a row has."""
        return (math.prod(input_shape),)

    def forward(self, x: np.ndarray, context: Context) -> tuple[np.ndarray, Backward]:  # noqa: ARG002
        """Reshape the rows."""
        return x.reshape(len(x), math.prod(x.shape[1:])), lambda dy: dy.reshape(x.shape)
