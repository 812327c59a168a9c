"""How the rows of an array-like are read."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np

_LIBRARIES = ("h5py", "zarr")
_MADV_POPULATE_READ = 22  # of madvise(2)
_libc = ctypes.CDLL(None)


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
    """Have the system read rows that lie one behind the other in a file, now and in one go.

    Where it cannot be asked for that (Linux before 5.14), each page is touched, which reads in many small ones.
    """
    if not rows.flags.c_contiguous:
        return
    first = rows.ctypes.data // mmap.PAGESIZE * mmap.PAGESIZE
    length = rows.ctypes.data + rows.nbytes - first
    # ctypes lets other threads run meanwhile, which mmap.madvise does not.
    if _libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), _MADV_POPULATE_READ) != 0:
        rows.reshape(-1).view(np.uint8)[:: mmap.PAGESIZE].max(initial=0)
