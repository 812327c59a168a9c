"""Multiplying and shifting inputs, such as images' bytes."""

from typing import Any

import numpy as np

from distfit import config
from distfit.layers.context import Context
from distfit.layers.layer import Backward, Layer


class Rescaling(Layer):
    """``x * scale + offset``, in `config.floatx`.

    Args:
        scale: a number, or an array that broadcasts with a row.
        offset: a number, or an array that broadcasts with a row.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Example:
        >>> import numpy as np
        >>> from distfit import layers
        >>> pixels = np.array([[0, 255]], np.uint8)
        >>> layers.Rescaling(2 / 255, offset=-1).forward(pixels, layers.lone_context(rows=1))[0].tolist()
        [[-1.0, 1.0]]
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.scale = scale
        self.offset = offset

    def forward(self, x: np.ndarray, context: Context) -> tuple[np.ndarray, Backward]:  # noqa: ARG002
        """Compute ``x * scale + offset``."""
        scale = np.asarray(self.scale, config.floatx())
        y = np.multiply(x, scale, dtype=scale.dtype)
        if np.any(self.offset):
            y += np.asarray(self.offset, scale.dtype)
        return y, lambda dy: dy * scale
