"""Numbers of things."""

import numpy as np


def is_count(value: object) -> bool:
    """Say whether this is a whole number of at least 1, of Python's or NumPy's.

    Example:
        >>> from distfit.utils.counts import is_count
        >>> [is_count(value) for value in (3, 3.0, True, 0, "auto")]
        [True, False, False, False, False]
    """
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= 1
