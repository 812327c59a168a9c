"""Batch normalization over the global batch: any number of ranks gives one rank's answer."""

from typing import Any

import numpy as np

from distfit.layers.context import Context
from distfit.layers.layer import Backward, Layer, Shape
from distfit.layers.parameter import Parameter
from distfit.layers.shapes import check_size, feature_axes


class BatchNormalization(Layer):
    """Each channel with mean 0 and variance 1 over the global batch (Ioffe and Szegedy, 2015).

    In training ``gamma * (x - mean) / sqrt(variance + epsilon) + beta``, with the mean and biased variance
    over the rows of all ranks and over all axes but the channels'. Otherwise, and where `trainable` is False,
    with moving averages of these: ``moving = momentum * moving + (1 - momentum) * batch``.

    Args:
        axis: of the channels; the batch is axis 0.
        momentum: how much of a moving average stays in a step.
        epsilon: what is added to the variance.
        center: whether there is a beta.
        scale: whether there is a gamma.
        beta_initializer: draws beta, ``(channels,)``.
        gamma_initializer: draws gamma, ``(channels,)``.
        moving_mean_initializer: the first moving mean.
        moving_variance_initializer: the first moving variance.
        beta_regularizer: penalty on beta.
        gamma_regularizer: penalty on gamma.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Ranks: in training, `forward` sums ``1 + 2 * channels`` numbers over the ranks and the backward
        ``2 * channels``; nothing otherwise.

    Example:
        >>> import numpy as np
        >>> from distfit import Sequential, layers
        >>> model = Sequential([layers.Input((2,)), layers.BatchNormalization()])
        >>> model.predict(np.array([[1.0, 2.0]]), verbose=0).round(2).tolist()
        [[1.0, 2.0]]
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.axis = axis
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = beta_initializer
        self.gamma_initializer = gamma_initializer
        self.moving_mean_initializer = moving_mean_initializer
        self.moving_variance_initializer = moving_variance_initializer
        self.beta_regularizer = beta_regularizer
        self.gamma_regularizer = gamma_regularizer

    def build(self, input_shape: Shape) -> None:
        """Make gamma, beta and the moving averages."""
        (self._channels_axis,) = feature_axes(self, self.axis, input_shape)
        shape = (input_shape[self._channels_axis - 1],)
        self.gamma: Parameter | None = None
        self.beta: Parameter | None = None
        if self.scale:
            self.gamma = self.add_weight(
                shape, self.gamma_initializer, "gamma", regularizer=self.gamma_regularizer
            )
        if self.center:
            self.beta = self.add_weight(
                shape, self.beta_initializer, "beta", regularizer=self.beta_regularizer
            )
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, "moving_mean", trainable=False
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, "moving_variance", trainable=False
        )

    def forward(self, x: np.ndarray, context: Context) -> tuple[np.ndarray, Backward]:
        """Normalize with the global batch's statistics in training, with the moving averages otherwise."""
        dtype = self.moving_mean.value.dtype
        (channels,) = self.moving_mean.shape
        check_size(self, x, self._channels_axis, channels)
        moved = np.moveaxis(x, self._channels_axis, -1)
        # The moving mean is equal on all ranks and near the mean: sums of the difference keep their digits.
        normalized = moved.reshape(-1, channels).astype(dtype, copy=False) - self.moving_mean.value
        learning = context.training and self.trainable
        count = 1.0
        variance = np.asarray(self.moving_variance.value, np.float64)
        if learning:
            sums = context.sum_over_batch(_sums(normalized))
            count, shift, variance = _moments(sums)
            self.absorb_sums(sums)
            normalized -= shift.astype(dtype)
        inverse = (1 / np.sqrt(variance + self.epsilon)).astype(dtype)
        normalized *= inverse
        gamma = np.ones(channels, dtype) if self.gamma is None else self.gamma.value
        y = normalized * gamma
        if self.beta is not None:
            y += self.beta.value

        def as_rows(array: np.ndarray) -> np.ndarray:
            return np.moveaxis(array.reshape(moved.shape), -1, self._channels_axis)

        def backward(dy: np.ndarray) -> np.ndarray | None:
            dy = np.moveaxis(dy, self._channels_axis, -1).reshape(-1, channels)
            dx = dy
            if self.trainable:
                sums = np.stack([dy.sum(0, np.float64), (dy * normalized).sum(0, np.float64)])
                self._write_gradients(*sums)
                if learning and context.needs_input_gradient:
                    # Ioffe and Szegedy's derivative: the mean and the variance depend on every row.
                    mean_dy, mean_product = (context.sum_over_batch(sums) / count).astype(dtype)
                    dx = normalized * -mean_product
                    dx += dy
                    dx -= mean_dy
            return as_rows(dx * (inverse * gamma)) if context.needs_input_gradient else None

        return as_rows(y), backward

    def absorb_sums(self, sums: np.ndarray) -> None:
        """Move the averages towards the global batch's mean and variance."""
        _, shift, variance = _moments(sums)
        rate = 1 - self.momentum
        self.moving_mean.store(self.moving_mean.value + rate * shift)
        self.moving_variance.store(self.momentum * self.moving_variance.value + rate * variance)

    def _write_gradients(self, sum_dy: np.ndarray, sum_product: np.ndarray) -> None:
        # Of this rank's rows alone: the trainer sums gradients over ranks.
        if self.gamma is not None:
            with self.gamma.gradient() as out:
                out[...] = sum_product
        if self.beta is not None:
            with self.beta.gradient() as out:
                out[...] = sum_dy


def _sums(shifted: np.ndarray) -> np.ndarray:
    """Return the count, the sums and the sums of squares of ``(places, channels)``: one vector of float64."""
    return np.concatenate([[len(shifted)], shifted.sum(0, np.float64), np.square(shifted).sum(0, np.float64)])


def _moments(sums: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the count, the means and the biased variances that `_sums` stand for."""
    count = float(sums[0])
    mean, mean_square = sums[1:].reshape(2, -1) / count
    return count, mean, np.maximum(mean_square - mean * mean, 0)
