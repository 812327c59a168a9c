"""An initializer whose rows, or columns, are orthonormal."""

import math

import numpy as np

from distfit.initializers.random import RandomInitializer


class Orthogonal(RandomInitializer):
    """A random matrix with orthonormal rows or columns, whichever are fewer (Saxe et al., 2013).

    A weight of more than two dimensions is the matrix ``(prod(shape[:-1]), shape[-1])``, reshaped.

    Args:
        gain: what the matrix is multiplied by.
        seed: see `RandomInitializer`.

    Raises:
        ValueError: when it is called for a weight of fewer than two dimensions.

    Example:
        >>> import numpy as np
        >>> from distfit import initializers
        >>> q = initializers.Orthogonal()((3, 3), np.random.default_rng(0))
        >>> bool(np.allclose(q.T @ q, np.eye(3)))
        True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return an array of that shape, drawn from that generator."""
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal needs a weight of at least two dimensions. Received: shape={shape};"
                " take another initializer for it"
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(generator.standard_normal((max(rows, columns), min(rows, columns))))
        # QR fixes signs by convention; these make q uniform among the orthogonal matrices (Mezzadri, 2007).
        q *= np.where(np.diag(r) < 0, -1.0, 1.0)
        matrix = q if rows >= columns else q.T
        return self.gain * matrix.reshape(shape)
