"""Two-dimensional convolution, as matrix products over parts of the rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from distfit.layers import activations
from distfit.layers.context import Context
from distfit.layers.layer import Backward, Layer, Shape
from distfit.layers.parameter import Parameter
from distfit.layers.shapes import check_size, image_shape
from distfit.layers.windows import Windows, pair

# The matrix of all windows is as large as the images times the window's size; in parts it stays in the cache,
# and is made again in the backward pass, which takes less time than to keep it.
_BYTES_AT_ONCE = 1 << 22


class Conv2D(Layer):
    """``activation(convolution(x, kernel) + bias)`` of images with channels last.

    As in Keras, the kernel is not flipped: a correlation.

    Args:
        filters: how many output channels.
        kernel_size: height and width of a window, or one number for both, in pixels.
        strides: from one window to the next, likewise.
        padding: ``"valid"`` for windows inside the image; ``"same"`` for a window for each `strides` pixels.
        activation: a name of `distfit.layers.activations`, a function like those there, or None.
        use_bias: whether there is a bias.
        kernel_initializer: draws the kernel, ``(height, width, channels, filters)``.
        bias_initializer: draws the bias, ``(filters,)``.
        kernel_regularizer: penalty on the kernel, see `distfit.layers.regularizers`.
        bias_regularizer: penalty on the bias.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Raises:
        ValueError: for sizes that are not positive, or rows that are no images.

    Example:
        >>> from distfit import layers
        >>> layers.Conv2D(8, 3, padding="same")(layers.Input((28, 28, 1))).shape
        (28, 28, 8)
    """

    tells_of_gradients = True

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = (1, 1),
        padding: str = "valid",
        activation: str | activations.Activation | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if filters <= 0:
            raise ValueError(f"Conv2D needs at least one filter. Received: filters={filters}")
        self.filters = filters
        self.windows = Windows(pair(kernel_size, "kernel_size"), pair(strides, "strides"), padding.lower())
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer
        self.kernel_regularizer = kernel_regularizer
        self.bias_regularizer = bias_regularizer

    def build(self, input_shape: Shape) -> None:
        """Make the kernel and the bias."""
        channels = image_shape(self, input_shape)[2]
        self.kernel = self.add_weight(
            (*self.windows.size, channels, self.filters),
            self.kernel_initializer,
            "kernel",
            regularizer=self.kernel_regularizer,
        )
        self.bias: Parameter | None = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.filters,), self.bias_initializer, "bias", regularizer=self.bias_regularizer
            )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the number of windows downwards and to the right, and of filters."""
        return (*self.windows.output_size(self, input_shape), self.filters)

    def forward(self, x: np.ndarray, context: Context) -> tuple[np.ndarray, Backward]:
        """Compute ``activation(convolution(x, kernel) + bias)``."""
        check_size(self, x, -1, self.kernel.shape[2])
        kernel = self.kernel.value.reshape(-1, self.filters)
        padded = self.windows.pad(np.asarray(x, kernel.dtype), 0.0)
        z = np.empty((len(x), *self.output_shape(x.shape[1:])), kernel.dtype)
        for rows in self._parts(z, kernel):
            np.matmul(self.windows.columns(padded[rows]), kernel, out=z[rows].reshape(-1, self.filters))
        if self.bias is not None:
            z += self.bias.value
        y, activation_backward = self.activation(z, out=z)

        def backward(dy: np.ndarray) -> np.ndarray | None:
            dz = activation_backward(dy)
            if self.trainable:
                self._write_gradients(padded, dz, kernel)
                context.gradients_are_written()
            return (
                self._input_gradient(dz, kernel, padded.shape, x.shape)
                if context.needs_input_gradient
                else None
            )

        return y, backward

    def _write_gradients(self, padded: np.ndarray, dz: np.ndarray, kernel: np.ndarray) -> None:
        with self.kernel.gradient() as out:
            out[...] = 0
            gradient = out.reshape(kernel.shape)
            for rows in self._parts(dz, kernel):
                gradient += self.windows.columns(padded[rows]).T @ dz[rows].reshape(-1, self.filters)
        if self.bias is not None:
            with self.bias.gradient() as out:
                np.sum(dz, axis=(0, 1, 2), out=out)

    def _input_gradient(self, dz: np.ndarray, kernel: np.ndarray, padded: Shape, image: Shape) -> np.ndarray:
        dx = np.zeros(padded, kernel.dtype)
        for rows in self._parts(dz, kernel):
            self.windows.add_columns(dz[rows].reshape(-1, self.filters) @ kernel.T, dx[rows])
        return self.windows.crop(dx, image[1], image[2])

    def _parts(self, z: np.ndarray, kernel: np.ndarray) -> Iterator[slice]:
        """Yield slices of rows whose windows fill the cache."""
        bytes_per_row = z.shape[1] * z.shape[2] * len(kernel) * kernel.itemsize
        step = max(1, _BYTES_AT_ONCE // bytes_per_row)
        for start in range(0, len(z), step):
            yield slice(start, start + step)
