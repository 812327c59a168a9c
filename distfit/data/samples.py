"""Data sets of other libraries: the file that knows the library says what their rows are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any


@dataclass(frozen=True, slots=True)
class Samples:
    """The rows of a data set, and what it says of its batches.

    Attributes:
        data: ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)``: trees of array-likes, or of `data.map`.
        batch_size: rows of a global batch, where `fit` is told nothing else.
        shuffle: whether each epoch of `fit` has an order of its own; None where `fit` says so.
    """

    data: tuple[Any, ...]
    batch_size: int | None = None
    shuffle: bool | None = None


@singledispatch
def samples_of(x: Any) -> Samples | None:  # noqa: ARG001 - by whose type another function is found
    """Return the rows of another library's data set, or None for anything else.

    An engine's file registers a function for each class that it knows: ``@samples_of.register``.

    Raises:
        TypeError, RuntimeError: for one that cannot be shared among ranks.

    Ranks: local.
    """
    return None
