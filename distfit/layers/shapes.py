"""The one error for inputs of a wrong shape."""

from typing import Any

import numpy as np

from distfit.layers.layer import Layer


def wrong_shape(layer: Layer, expected: str, received: Any) -> ValueError:
    """Return the error that says which layer got what instead of what.

    Args:
        layer: which cannot take the input.
        expected: the shape of a row in words: ``"(height, width, channels)"``.
        received: the shape of a row that came, or the list of shapes.
    """
    return ValueError(
        f"layer {layer.name!r} takes rows of shape {expected}, the batch's dimension not counted. "
        f"Received: rows of shape {received}"
    )


def image_shape(layer: Layer, input_shape: Any) -> tuple[int, int, int]:
    """Return ``(height, width, channels)``.

    Raises:
        ValueError: if rows are of another number of dimensions.
    """
    if len(input_shape) != 3:
        remedy = "; layers.Reshape makes such" if len(input_shape) < 3 else ""
        raise wrong_shape(layer, f"(height, width, channels){remedy}", tuple(input_shape))
    height, width, channels = input_shape
    return height, width, channels


def check_size(layer: Layer, x: np.ndarray, axis: int, size: int) -> None:
    """Check that the input has the size for which the layer's weights were made.

    NumPy alone would stretch an axis of size 1, and give a wrong answer in silence.

    Args:
        layer: whose input it is.
        x: the input, ``(rows, ...)``.
        axis: whose size has to be right, the batch counted.
        size: what it has to be.

    Raises:
        ValueError: if it is another.
    """
    if x.shape[axis] != size:
        raise wrong_shape(layer, f"with {size} at axis {axis}, for which it was built", x.shape[1:])
