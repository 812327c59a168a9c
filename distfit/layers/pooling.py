"""Pooling: one number for each window of an image, or for the whole image."""

from typing import Any

import numpy as np

from distfit import config
from distfit.layers.context import Context
from distfit.layers.layer import Backward, Layer, Shape
from distfit.layers.shapes import image_shape
from distfit.layers.windows import Windows, pair


class Pooling2D(Layer):
    """Base of layers that pool windows of images with channels last.

    Args:
        pool_size: height and width of a window, or one number for both, in pixels.
        strides: from one window to the next; None for windows that touch.
        padding: ``"valid"`` for windows inside the image; ``"same"`` for windows over all of it, whose parts
            outside do not count.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Raises:
        ValueError: for sizes that are not positive, or rows that are no images.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = (2, 2),
        strides: int | tuple[int, int] | None = None,
        padding: str = "valid",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        size = pair(pool_size, "pool_size")
        self.windows = Windows(size, size if strides is None else pair(strides, "strides"), padding.lower())

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the number of windows downwards and to the right, and of channels."""
        return (*self.windows.output_size(self, input_shape), input_shape[2])


class MaxPooling2D(Pooling2D):
    """The largest number of each window. Of several equal ones the first gets the gradient.

    Args:
        pool_size: see `Pooling2D`.
        strides: see `Pooling2D`.
        padding: see `Pooling2D`.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Example:
        >>> import numpy as np
        >>> from distfit import layers
        >>> x = np.arange(4.0).reshape(1, 2, 2, 1)
        >>> layers.MaxPooling2D().forward(x, layers.lone_context(rows=1))[0].ravel().tolist()
        [3.0]
    """

    def forward(self, x: np.ndarray, context: Context) -> tuple[np.ndarray, Backward]:  # noqa: ARG002
        """Take the largest number of each window."""
        padded = self.windows.pad(np.asarray(x, config.floatx()), -np.inf)
        first, *others = self.windows.places(padded)
        y = first.copy()
        for view in others:
            np.maximum(y, view, out=y)

        def backward(dy: np.ndarray) -> np.ndarray:
            gradient = np.zeros_like(padded)
            open_windows = np.ones(y.shape, bool)
            for view, out in zip(self.windows.places(padded), self.windows.places(gradient), strict=True):
                largest = view == y
                largest &= open_windows
                open_windows ^= largest
                np.add(out, dy * largest, out=out)
            return self.windows.crop(gradient, x.shape[1], x.shape[2])

        return y, backward


class AveragePooling2D(Pooling2D):
    """The mean of each window.

    Args:
        pool_size: see `Pooling2D`.
        strides: see `Pooling2D`.
        padding: see `Pooling2D`.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Example:
        >>> import numpy as np
        >>> from distfit import layers
        >>> x = np.arange(4.0).reshape(1, 2, 2, 1)
        >>> layers.AveragePooling2D().forward(x, layers.lone_context(rows=1))[0].ravel().tolist()
        [1.5]
    """

    def forward(self, x: np.ndarray, context: Context) -> tuple[np.ndarray, Backward]:  # noqa: ARG002
        """Take the mean of each window."""
        y = self._sums(np.asarray(x, config.floatx()))
        counts = self._sums(np.ones((1, *x.shape[1:3], 1), y.dtype))
        y /= counts

        def backward(dy: np.ndarray) -> np.ndarray:
            share = dy / counts
            gradient = self.windows.pad(np.zeros(x.shape, y.dtype), 0.0)
            for out in self.windows.places(gradient):
                np.add(out, share, out=out)
            return self.windows.crop(gradient, x.shape[1], x.shape[2])

        return y, backward

    def _sums(self, images: np.ndarray) -> np.ndarray:
        first, *others = self.windows.places(self.windows.pad(images, 0.0))
        total = np.array(first)
        for view in others:
            total += view
        return total


class GlobalAveragePooling2D(Layer):
    """The mean of each channel over the whole image.

    Args:
        keepdims: whether height and width stay, as 1.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Raises:
        ValueError: if rows are no images.

    Example:
        >>> from distfit import layers
        >>> layers.GlobalAveragePooling2D()(layers.Input((7, 7, 64))).shape
        (64,)
    """

    def __init__(self, keepdims: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.keepdims = keepdims

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the number of channels."""
        channels = image_shape(self, input_shape)[2]
        return (1, 1, channels) if self.keepdims else (channels,)

    def forward(self, x: np.ndarray, context: Context) -> tuple[np.ndarray, Backward]:  # noqa: ARG002
        """Take the mean of each channel."""
        rows, height, width, channels = x.shape
        y: np.ndarray = np.asarray(x, config.floatx()).mean((1, 2), keepdims=self.keepdims)

        def backward(dy: np.ndarray) -> np.ndarray:
            share: np.ndarray = dy.reshape(rows, 1, 1, channels) / (height * width)
            return np.broadcast_to(share, x.shape)

        return y, backward
