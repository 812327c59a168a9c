"""Augmentation: a function of rows whose random numbers belong to the rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from distfit.data.indexable import row_count
from distfit.random import RowGenerator


@dataclass(frozen=True, slots=True)
class RowContext:
    """What the function of `map` is given with its rows.

    Attributes:
        training: True in `fit` and `train_on_batch`, False in `evaluate` and `predict`.
        rng_rows: random numbers for the rows, equal on whichever rank holds a row.
    """

    training: bool
    rng_rows: RowGenerator


@dataclass(frozen=True, slots=True)
class Mapped:
    """An array whose rows pass through a function when they are fetched. Made by `map`."""

    source: Any
    function: Callable[[np.ndarray, RowContext], np.ndarray]

    def __len__(self) -> int:
        return row_count(self.source)


def map(  # noqa: A001 - `data.map` reads as what it is
    x: Any, function: Callable[[np.ndarray, RowContext], np.ndarray]
) -> Mapped:
    """Return an array-like whose rows pass through a function when they are fetched.

    Args:
        x: an array, or anything that `fit` takes as one.
        function: takes rows ``(rows, ...)``, as many as this rank has of a batch, and a `RowContext`; returns rows.

    Ranks: local; with `RowContext.rng_rows` any number of ranks augments a row in the same way.

    Example (add noise in training):
        >>> import numpy as np
        >>> from distfit import data
        >>> def noisy(rows, context):
        ...     noise = context.rng_rows.normal(rows.shape[1:])
        ...     return rows + 0.1 * noise if context.training else rows
        >>> len(data.map(np.zeros((10, 3)), noisy))
        10
    """
    return Mapped(x, function)
