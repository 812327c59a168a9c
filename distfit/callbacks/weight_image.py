"""A weight as an image."""

from __future__ import annotations

import numpy as np


def weight_image(weight: np.ndarray) -> np.ndarray | None:
    """Return a weight as a grey image, from its least value in black to its greatest in white.

    A vector is a column, a matrix lies on its longer side; of a convolution with one input channel the kernels of all
    output channels are side by side.

    Args:
        weight: of any shape; axes of length 1 do not count. NaN is black.

    Returns:
        The image ``(height, width)``, uint8; None for a number alone, and for more than three axes.

    Ranks: local.
    """
    values = np.squeeze(np.asarray(weight, np.float64))
    if values.ndim == 1:
        values = values[:, np.newaxis]
    elif values.ndim == 2 and len(values) > values.shape[1]:
        values = values.T
    elif values.ndim == 3:
        values = values.transpose(0, 2, 1).reshape(len(values), -1)
    if values.ndim != 2 or not np.isfinite(values).any():
        return None
    least, greatest = values[np.isfinite(values)].min(), values[np.isfinite(values)].max()
    grey = (values - least) / ((greatest - least) or 1.0)
    pixels = np.nan_to_num(grey, nan=0.0, posinf=1.0, neginf=0.0) * 255
    return np.asarray(pixels.round(), np.uint8)
