"""The fully connected layer."""

from typing import Any

import numpy as np

from distfit.layers import activations
from distfit.layers.context import Context
from distfit.layers.layer import Backward, Layer, Shape
from distfit.layers.parameter import Parameter
from distfit.layers.shapes import check_size, wrong_shape


class Dense(Layer):
    """``activation(x @ kernel + bias)``, over the last axis of x.

    Args:
        units: the size of the output's last axis.
        activation: a name of `distfit.layers.activations`, a function like those there, or None.
        use_bias: whether there is a bias.
        kernel_initializer: draws the kernel, ``(inputs, units)``.
        bias_initializer: draws the bias, ``(units,)``.
        kernel_regularizer: penalty on the kernel, see `distfit.layers.regularizers`.
        bias_regularizer: penalty on the bias.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Raises:
        ValueError: if `units` is not positive, or rows have no axis.

    Example:
        >>> from distfit import layers
        >>> layers.Dense(3)(layers.Input((5, 2))).shape
        (5, 3)
    """

    tells_of_gradients = True

    def __init__(
        self,
        units: int,
        activation: str | activations.Activation | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if units <= 0:
            raise ValueError(f"Dense needs at least one unit. Received: units={units}")
        self.units = units
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer
        self.kernel_regularizer = kernel_regularizer
        self.bias_regularizer = bias_regularizer

    def build(self, input_shape: Shape) -> None:
        """Make the kernel and the bias."""
        if not input_shape:
            raise wrong_shape(self, "(..., inputs)", input_shape)
        self.kernel = self.add_weight(
            (input_shape[-1], self.units),
            self.kernel_initializer,
            "kernel",
            regularizer=self.kernel_regularizer,
        )
        self.kernel.is_product = True
        self.bias: Parameter | None = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,), self.bias_initializer, "bias", regularizer=self.bias_regularizer
            )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape with `units` as its last axis."""
        return (*input_shape[:-1], self.units)

    def forward(self, x: np.ndarray, context: Context) -> tuple[np.ndarray, Backward]:
        """Compute ``activation(x @ kernel + bias)``."""
        kernel = self.kernel.value
        check_size(self, x, -1, kernel.shape[0])
        # One product over all leading axes: NumPy would make one for each row otherwise.
        flat = np.asarray(x, kernel.dtype).reshape(-1, kernel.shape[0])
        z = flat @ kernel
        if self.bias is not None:
            z += self.bias.value
        y, activation_backward = self.activation(z, out=z)

        def backward(dy: np.ndarray) -> np.ndarray | None:
            dz = activation_backward(dy.reshape(y.shape))
            if self.trainable:
                self._write_gradients(flat, dz)
                context.gradients_are_written()
            return (dz @ kernel.T).reshape(x.shape) if context.needs_input_gradient else None

        return y.reshape(*x.shape[:-1], self.units), backward

    def _write_gradients(self, x: np.ndarray, dz: np.ndarray) -> None:
        self.kernel.add_product(x, dz)
        if self.bias is not None:
            with self.bias.gradient() as out:
                np.add.reduce(dz, axis=0, out=out)
