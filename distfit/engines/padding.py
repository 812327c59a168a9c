"""Rows filled up to a shape that compiled code knows: each new one would be compiled anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from distfit.utils.nested import map_leaves


class Padding:
    """The numbers of rows that code was compiled for.

    A batch takes the smallest of them that has room for it and is less than twice as large; otherwise its own number
    is a new one. So a training has two at most: that of its batches, and that of a short last one.

    Example:
        >>> import numpy as np
        >>> padding = Padding()
        >>> [len(padding.filled(np.zeros((rows, 2)), rows)) for rows in (64, 63, 40, 7, 7)]
        [64, 64, 64, 7, 7]
    """

    def __init__(self) -> None:
        self._sizes: list[int] = []

    def size(self, rows: int) -> int:
        """Return how many rows to compute for so many."""
        for size in self._sizes:
            if rows <= size < 2 * rows:
                return size
        self._sizes = sorted([*self._sizes, rows])
        return rows

    def filled(self, tree: Any, rows: int, *, with_zeros: bool = False) -> Any:
        """Return arrays of so many rows, filled up with their last row: with numbers on which no function fails.

        Args:
            tree: an array, or a tree of them.
            rows: that they have.
            with_zeros: fill with these instead, where what is added must not count.
        """
        more = self.size(rows) - rows
        if more == 0:
            return tree

        def fill(array: Any) -> np.ndarray:
            array = np.asarray(array)
            last = np.zeros_like(array[-1:]) if with_zeros else array[-1:]
            return np.concatenate([array, np.repeat(last, more, axis=0)])

        return map_leaves(fill, tree)
