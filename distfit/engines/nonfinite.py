"""Where in a model's computation a number first was not finite."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np


class NonFinite(NamedTuple):
    """The first place on a rank where a number is NaN or infinite. Of two, the lesser comes first in the computation.

    Attributes:
        stage: `WEIGHTS`, `DATA`, `OUTPUTS`, `LOSS` or `GRADIENTS`.
        number: orders places of one stage.
        what: in words.
        rows: the rank's rows in which it is so, from 0; none where the place has no rows.
    """

    stage: int
    number: int
    what: str
    rows: tuple[int, ...] = ()


WEIGHTS, DATA, OUTPUTS, LOSS, GRADIENTS = range(5)


def all_finite(array: np.ndarray) -> bool:
    """Say whether all elements of a flat float array are finite.

    The sum of squares is not, if one element is not, and BLAS computes it faster than anything else looks at all
    elements. It overflows for large numbers, too: only then they are looked at one by one.

    Example:
        >>> import numpy as np
        >>> from distfit.engines.nonfinite import all_finite
        >>> all_finite(np.array([1.0, 1e300])), all_finite(np.array([1.0, np.nan]))
        (True, False)
    """
    with np.errstate(all="ignore"):
        return math.isfinite(np.dot(array, array)) or bool(np.isfinite(array).all())


def find(stage: int, named: Iterable[tuple[str, Any]], *, by_row: bool = False) -> NonFinite | None:
    """Return the first of some arrays that holds a number that is not finite, or None.

    Args:
        stage: where they are in the computation.
        named: arrays, and what to call them; integers and text are finite.
        by_row: whether the first axis is the rank's rows.
    """
    for number, (what, array) in enumerate(named):
        values = np.asarray(array)
        if values.dtype.kind not in "fc" or np.isfinite(values).all():
            continue
        bad = ~np.isfinite(values)
        rows = np.flatnonzero(bad.reshape(len(values), -1).any(axis=1)) if by_row else np.empty(0, int)
        return NonFinite(stage, number, what, tuple(rows.tolist()))
    return None
