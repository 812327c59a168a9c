"""Initializers that draw nothing: one value in every place."""

import numpy as np

from distfit.initializers.initializer import Initializer


class Zeros(Initializer):
    """Zero everywhere.

    Example:
        >>> import numpy as np
        >>> from distfit import initializers
        >>> initializers.Zeros()((2,), np.random.default_rng(0)).tolist()
        [0.0, 0.0]
    """

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        """Return an array of that shape; nothing is drawn from the generator."""
        return np.zeros(shape)


class Ones(Initializer):
    """One everywhere.

    Example:
        >>> import numpy as np
        >>> from distfit import initializers
        >>> initializers.Ones()((2,), np.random.default_rng(0)).tolist()
        [1.0, 1.0]
    """

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        """Return an array of that shape; nothing is drawn from the generator."""
        return np.ones(shape)


class Constant(Initializer):
    """One given value everywhere.

    Args:
        value: the value, or an array that broadcasts to the weight's shape.

    Example:
        >>> import numpy as np
        >>> from distfit import initializers
        >>> initializers.Constant(0.5)((2,), np.random.default_rng(0)).tolist()
        [0.5, 0.5]
    """

    def __init__(self, value: float | np.ndarray = 0.0) -> None:
        self.value = value

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        """Return an array of that shape; nothing is drawn from the generator."""
        return np.full(shape, self.value, np.float64)
