"""Division in which what has no rows is 0, as in Keras."""

import numpy as np


def divide_no_nan(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return the quotients, and 0 where the denominator is 0; arrays of one shape."""
    quotients = np.zeros(np.shape(denominator))
    np.divide(numerator, denominator, out=quotients, where=np.not_equal(denominator, 0))
    return quotients
