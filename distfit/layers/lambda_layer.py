"""A function as a layer, differentiated by the autograd library."""

from collections.abc import Callable
from typing import Any

import numpy as np

from distfit import config
from distfit.layers.context import Context
from distfit.layers.layer import Backward, Layer, Shape
from distfit.utils.nested import map_leaves


class Lambda(Layer):
    """A function of arrays, written with ``autograd.numpy``; autograd finds its gradient.

    Args:
        function: takes the input ``(rows, ...)``, or a list where the layer is called on one, and returns
            ``(rows, ...)``. It treats each row by itself: the others may be on another rank.
        output_shape: of a row; None tries the function on a row of zeros.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Raises:
        ImportError: if autograd is not installed.

    Example:
        >>> import autograd.numpy as anp
        >>> import numpy as np
        >>> from distfit import layers
        >>> square = layers.Lambda(lambda x: anp.square(x))
        >>> y, backward = square.forward(np.array([[3.0]]), layers.lone_context(rows=1))
        >>> y.tolist(), backward(np.array([[1.0]])).tolist()
        ([[9.0]], [[6.0]])
    """

    def __init__(
        self, function: Callable[[Any], Any], output_shape: Shape | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        try:
            from autograd import make_vjp
        except ImportError as error:
            raise ImportError(
                "layers.Lambda needs autograd: pip install distfit-mpi[autograd]; or write a layer of your "
                "own, whose forward returns its backward"
            ) from error
        self._make_vjp = make_vjp
        self.function = function
        self._given_shape = output_shape

    def output_shape(self, input_shape: Any) -> Shape:
        """Return the given shape, or that of the function's output for zeros."""
        if self._given_shape is not None:
            return tuple(self._given_shape)
        several = bool(input_shape) and not isinstance(input_shape[0], int)
        zeros = [
            np.zeros((1, *shape), config.floatx()) for shape in (input_shape if several else [input_shape])
        ]
        shape: Shape = np.shape(self.function(zeros if several else zeros[0]))[1:]
        return shape

    def forward(self, x: Any, context: Context) -> tuple[np.ndarray, Backward]:  # noqa: ARG002
        """Compute the function."""
        backward, y = self._make_vjp(self.function)(map_leaves(_floating, x))
        return y, backward


def _floating(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, config.floatx())
