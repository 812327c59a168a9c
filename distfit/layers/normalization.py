"""Normalization with the statistics of the training data."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from distfit import initializers
from distfit.layers.context import Context
from distfit.layers.layer import Backward, Layer, Shape
from distfit.layers.parameter import Parameter
from distfit.layers.shapes import broadcastable, feature_axes, wrong_shape

_ROWS_AT_ONCE = 4096
_LEAST_STDDEV = 1e-7  # of a constant feature, as in Keras


class Normalization(Layer):
    """``(x - mean) / sqrt(variance)``, of statistics that are given or that `adapt` takes from data.

    Args:
        axis: one or several, each of whose places has a mean and a variance of its own; None for one of each.
            The batch is axis 0.
        mean: of the data, in the shape of the axes; None leaves it to `adapt`.
        variance: likewise.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Raises:
        ValueError: if only one of mean and variance is given.

    Example:
        >>> import numpy as np
        >>> from distfit import Sequential, layers
        >>> x = np.array([[1.0, 10.0], [3.0, 30.0]])
        >>> normalization = layers.Normalization()
        >>> normalization.adapt(x)
        >>> Sequential([layers.Input((2,)), normalization]).predict(x, verbose=0).tolist()
        [[-1.0, -1.0], [1.0, 1.0]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if (mean is None) != (variance is None):
            raise ValueError(
                "Normalization takes both mean and variance, or neither and `adapt`. "
                f"Received: mean={mean}, variance={variance}"
            )
        self.axis = axis
        self._given = (0.0, 1.0) if mean is None else (mean, variance)

    def build(self, input_shape: Shape) -> None:
        """Make the mean and the variance, which are not trained."""
        self._axes = feature_axes(self, self.axis, input_shape)
        self._stretched = broadcastable(input_shape, self._axes)
        shape = tuple(input_shape[axis - 1] for axis in self._axes)
        mean, variance = self._given
        self.mean = self.add_weight(shape, initializers.Constant(mean), "mean", trainable=False)
        self.variance = self.add_weight(shape, initializers.Constant(variance), "variance", trainable=False)

    def adapt(self, data: Any) -> None:
        """Take mean and variance from data: to be called before training.

        Args:
            data: ``(rows, ...)``: an array, or what gives arrays when it is sliced; read twice, in parts.

        Raises:
            ValueError: if there are no rows.

        Ranks: local; each rank gives it the same data.
        """
        if len(data) == 0:
            raise ValueError("adapt needs rows. Received: data of length 0")
        self.ensure_built(np.shape(data[:1])[1:])
        others = tuple(i for i in range(len(self._stretched)) if i not in self._axes)
        count = len(data) * math.prod(np.shape(data[:1])[axis] for axis in others if axis)
        mean = sum(part.sum(others, keepdims=True) for part in _parts(data)) / count
        variance = sum(np.square(part - mean).sum(others, keepdims=True) for part in _parts(data)) / count
        _set(self.mean, mean)
        _set(self.variance, variance)

    def forward(self, x: np.ndarray, context: Context) -> tuple[np.ndarray, Backward]:  # noqa: ARG002
        """Compute ``(x - mean) / sqrt(variance)``."""
        if any(x.shape[axis] != self._stretched[axis] for axis in self._axes):
            raise wrong_shape(self, f"with the sizes {self._stretched} where those are not 1", x.shape[1:])
        mean = self.mean.value.reshape(self._stretched)
        inverse = 1 / np.maximum(np.sqrt(self.variance.value), _LEAST_STDDEV).reshape(self._stretched)
        y = np.asarray(x, mean.dtype) - mean
        y *= inverse
        return y, lambda dy: dy * inverse


def _parts(data: Any) -> Iterator[np.ndarray]:
    for start in range(0, len(data), _ROWS_AT_ONCE):
        yield np.asarray(data[start : start + _ROWS_AT_ONCE], np.float64)


def _set(parameter: Parameter, value: np.ndarray) -> None:
    """Write a statistic, now or when the layer joins a model."""
    value = value.reshape(parameter.shape)
    if parameter.initialized:
        parameter.assign(value)
    else:
        parameter.initializer = initializers.Constant(value)
