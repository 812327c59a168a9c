"""How the rows of an array-like are read."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

_LIBRARIES = ("h5py", "zarr")


def take(leaf: Any, indices: np.ndarray) -> np.ndarray:
    """Return rows of an array-like: a view of a NumPy array where they are consecutive.

    Of a memory-mapped file the rows are in memory then: a view's pages have been read.

    Args:
        leaf: anything whose ``[indices]`` are rows: NumPy, `np.memmap`, h5py, Zarr, a user's own sequence.
        indices: ascending, int64.
    """
    consecutive = indices.size > 0 and indices[-1] - indices[0] + 1 == indices.size
    if isinstance(leaf, np.ndarray):
        if not consecutive:
            return np.asarray(leaf.take(indices, axis=0))
        rows = np.asarray(leaf[int(indices[0]) : int(indices[-1]) + 1])
        if isinstance(leaf, np.memmap):
            _read_pages(rows)
        return rows
    if consecutive and _is_of_a_library(leaf):  # which read slices several times faster than lists of numbers
        return np.asarray(leaf[int(indices[0]) : int(indices[-1]) + 1])
    return np.asarray(leaf[indices])


def is_known(leaf: Any) -> bool:
    """Say whether rows are read by NumPy, h5py or Zarr alone, which any thread may ask, and by no class of a user's."""
    return type(leaf) in (np.ndarray, np.memmap) or _is_of_a_library(leaf)


def _is_of_a_library(leaf: Any) -> bool:
    return type(leaf).__module__.partition(".")[0] in _LIBRARIES


def _read_pages(rows: np.ndarray) -> None:
    """Touch each page of rows that lie one behind the other in a file, so that the system reads them now."""
    if rows.flags.c_contiguous:
        rows.reshape(-1).view(np.uint8)[:: mmap.PAGESIZE].max(initial=0)
