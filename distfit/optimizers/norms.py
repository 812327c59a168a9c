"""The Euclidean norm of an array, equal to the last bit on any processor.

All ranks make the same update, each for itself, so that a norm which differed between the processors of two
nodes would let their weights drift apart. BLAS promises no order of summation, NumPy's pairwise sum has one.
Squares are taken in float64, where those of no float32 number overflow, and where millions of them lose
nothing.
"""

import numpy as np


def squared_norm(values: np.ndarray, scratch: np.ndarray) -> float:
    """Return the sum of squares.

    Args:
        values: one-dimensional, float32 or float64, of any length.
        scratch: float64; its length is that of the pieces in which `values` are read.

    Ranks: local.

    Example:
        >>> import numpy as np
        >>> from distfit.optimizers.norms import squared_norm
        >>> squared_norm(np.array([3.0, 4.0], np.float32), np.empty(1))
        25.0
    """
    total = 0.0
    for start in range(0, values.size, scratch.size):
        piece = values[start : start + scratch.size]
        wide = scratch[: piece.size]
        wide[...] = piece  # copied and squared: twice as fast as one multiplication that widens
        np.square(wide, out=wide)
        total += float(np.add.reduce(wide))
    return total
