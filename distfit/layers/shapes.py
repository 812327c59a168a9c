"""Shapes of rows, and the one error for a wrong one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from distfit.layers.layer import Layer, Shape


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


def feature_axes(layer: Layer, axis: int | Sequence[int] | None, input_shape: Shape) -> tuple[int, ...]:
    """Return axes as sorted positive numbers, the batch being axis 0; none of them for None.

    Args:
        layer: whose argument `axis` is.
        axis: one axis or several, negative ones counted from the end.
        input_shape: of a row.

    Raises:
        ValueError: if an axis is the batch's, or is not there.
    """
    dimensions = len(input_shape) + 1
    axes = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    if any(not -dimensions < a < dimensions or a == 0 for a in axes):
        raise wrong_shape(layer, f"with the axis {axis} (0 is the batch's)", tuple(input_shape))
    return tuple(sorted(a % dimensions for a in axes))


def broadcastable(input_shape: Shape, axes: tuple[int, ...]) -> Shape:
    """Return the shape in which weights of these axes stretch over a batch: 1 at all others.

    Args:
        input_shape: of a row.
        axes: as `feature_axes` returns them.
    """
    return tuple(size if i in axes else 1 for i, size in enumerate((1, *input_shape)))
