"""Layer normalization: each row by itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from distfit import config
from distfit.layers.context import Context
from distfit.layers.layer import Backward, Layer, Shape
from distfit.layers.parameter import Parameter
from distfit.layers.shapes import broadcastable, feature_axes, wrong_shape


class LayerNormalization(Layer):
    """Mean 0 and variance 1 over axes of a row (Ba, Kiros and Hinton, arXiv:1607.06450, 2016).

    ``gamma * (x - mean) / sqrt(variance + epsilon) + beta``, with the biased variance.

    Args:
        axis: one or several over which mean and variance are taken; the batch is axis 0.
        epsilon: what is added to the variance.
        center: whether there is a beta.
        scale: whether there is a gamma.
        beta_initializer: draws beta, of the axes' sizes.
        gamma_initializer: draws gamma, of the axes' sizes.
        beta_regularizer: penalty on beta.
        gamma_regularizer: penalty on gamma.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Ranks: local.

    Example:
        >>> import numpy as np
        >>> from distfit import Sequential, layers
        >>> model = Sequential([layers.Input((2,)), layers.LayerNormalization()])
        >>> model.predict(np.array([[1.0, 5.0]]), verbose=0).round(2).tolist()
        [[-1.0, 1.0]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.axis = axis
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = beta_initializer
        self.gamma_initializer = gamma_initializer
        self.beta_regularizer = beta_regularizer
        self.gamma_regularizer = gamma_regularizer

    def build(self, input_shape: Shape) -> None:
        """Make gamma and beta."""
        self._axes = feature_axes(self, self.axis, input_shape)
        self._stretched = broadcastable(input_shape, self._axes)
        shape = tuple(input_shape[axis - 1] for axis in self._axes)
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

    def forward(self, x: np.ndarray, context: Context) -> tuple[np.ndarray, Backward]:
        """Normalize each row."""
        if any(x.shape[axis] != self._stretched[axis] for axis in self._axes):
            raise wrong_shape(self, f"with the sizes {self._stretched} where those are not 1", x.shape[1:])
        x = np.asarray(x, config.floatx())
        normalized = x - x.mean(self._axes, keepdims=True)
        variance = np.square(normalized).mean(self._axes, keepdims=True)
        inverse = 1 / np.sqrt(variance + self.epsilon)
        normalized *= inverse
        gamma = np.ones(1, x.dtype) if self.gamma is None else self.gamma.value.reshape(self._stretched)
        y = normalized * gamma
        if self.beta is not None:
            y += self.beta.value.reshape(self._stretched)

        def backward(dy: np.ndarray) -> np.ndarray | None:
            product = dy * normalized
            if self.trainable:
                self._write_gradients(dy, product)
            if not context.needs_input_gradient:
                return None
            dx: np.ndarray = dy * gamma
            dx -= dx.mean(self._axes, keepdims=True)
            product *= gamma
            dx -= normalized * product.mean(self._axes, keepdims=True)
            dx *= inverse
            return dx

        return y, backward

    def _write_gradients(self, dy: np.ndarray, product: np.ndarray) -> None:
        others = tuple(axis for axis in range(dy.ndim) if axis not in self._axes)
        if self.gamma is not None:
            with self.gamma.gradient() as out:
                np.sum(product, others, out=out)
        if self.beta is not None:
            with self.beta.gradient() as out:
                np.sum(dy, others, out=out)
