"""Arrays of which the ranks of a machine hold one copy, and which each of them may write as its own all the same.

Each array is seen twice. In `shared`, what one rank writes is what all read. In `own`, a rank reads the same memory,
but a page to which it writes there becomes its own, as in a forked process, and the others see nothing of it: so a rank
may put other weights in place while it works alone. Nobody has to say that he wrote: the kernel knows which pages are a
rank's own. `settle` makes what ranks wrote common, and gives their own pages up.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_PAGES = "/proc/self/pagemap"
_POPULATE_WRITE = 23  # of madvise(2)
# Of an entry of pagemap (Linux, Documentation/admin-guide/mm/pagemap.rst): it is there, in memory or in swap; and it is
# a page of the file, which is nobody's own.
_THERE, _OF_FILE = np.uint64(3 << 62), np.uint64(1 << 61)


@dataclass(frozen=True, slots=True)
class Field:
    """An array.

    Attributes:
        size: in elements.
        dtype: of them.
        common: how many of them, from the first on, ranks hold in common. What lies behind belongs to each rank alone,
            from the next page on.
        held: the only places for which this rank finds memory; None where the ranks find it for all of them.
    """

    size: int
    dtype: np.dtype
    common: int
    held: tuple[slice, ...] | None = None

    @classmethod
    def of(cls, array: np.ndarray, common: int | None, held: Sequence[slice] | None = None) -> Field:
        """Return what describes an array like this one, of which all elements are common unless it is said."""
        held = None if held is None else tuple(held)
        return cls(array.size, array.dtype, array.size if common is None else common, held)

    def stretches(self, rank: int, ranks: int) -> list[tuple[int, int]]:
        """Return for which bytes this rank finds memory: those that it holds, or as many as any other rank."""
        whole = self.size * self.dtype.itemsize
        if self.held is None:
            return [(whole * rank // ranks, whole * (rank + 1) // ranks)]
        return [(place.start * self.dtype.itemsize, place.stop * self.dtype.itemsize) for place in self.held]


class NodeMemory:
    """Arrays that the ranks of a machine share, and a further one of each rank, which the others can read.

    Args:
        file: a descriptor of memory of `bytes_of` length.
        fields: the arrays, by name.
        gradients: like the arrays that each rank has.
        ranks: how many ranks share it.

    Attributes:
        own: each array, to be read, and written by this rank for itself.
        shared: each array, as all have it.
        gradients: each rank's, by its number on the machine.

    Raises:
        OSError: if it cannot be mapped, or the kernel does not say which pages are a rank's own.
    """

    def __init__(self, file: int, fields: Mapping[str, Field], gradients: Field, ranks: int) -> None:
        starts, total = _starts(fields)
        self._starts = starts
        length = _in_pages(gradients.size * gradients.dtype.itemsize)
        self._shared = shared = mmap.mmap(file, total + ranks * length)
        self._gradient_starts = [total + rank * length for rank in range(ranks)]
        self._private = mmap.mmap(file, max(total, mmap.PAGESIZE), flags=mmap.MAP_PRIVATE)
        self._pages = total // mmap.PAGESIZE
        self.shared = {
            name: np.frombuffer(shared, field.dtype, field.size, start)
            for (name, field), start in zip(fields.items(), starts, strict=True)
        }
        self.own = {
            name: np.frombuffer(self._private, field.dtype, field.size, start)
            for (name, field), start in zip(fields.items(), starts, strict=True)
        }
        self._first_page = np.frombuffer(self._private, np.uint8).ctypes.data // mmap.PAGESIZE
        self.gradients = [
            np.frombuffer(shared, gradients.dtype, gradients.size, start) for start in self._gradient_starts
        ]
        self._in_common = np.zeros(self._pages, bool)
        for field, start in zip(fields.values(), starts, strict=True):
            first = start // mmap.PAGESIZE
            self._in_common[
                first : first + _in_pages(field.common * field.dtype.itemsize) // mmap.PAGESIZE
            ] = True
        self.written()  # raises where it cannot be known

    @staticmethod
    def bytes_of(fields: Mapping[str, Field], gradients: Field, ranks: int) -> int:
        """Return how much memory is needed."""
        return _starts(fields)[1] + ranks * _in_pages(gradients.size * gradients.dtype.itemsize)

    @staticmethod
    def stretches(
        fields: Mapping[str, Field], gradients: Field, rank: int, ranks: int
    ) -> list[tuple[int, int]]:
        """Return the bytes for which a rank has the system find memory: of all arrays, and of its gradients."""
        starts, total = _starts(fields)
        length = _in_pages(gradients.size * gradients.dtype.itemsize)
        found = [(total + rank * length, total + (rank + 1) * length)]
        for field, start in zip(fields.values(), starts, strict=True):
            found += [(start + first, start + last) for first, last in field.stretches(rank, ranks)]
        return found

    def written(self) -> np.ndarray:
        """Return the numbers of the pages of common elements that this rank has written in `own`.

        Ranks: local; some microseconds for each thousand pages.
        """
        with open(_PAGES, "rb", buffering=0) as pages:
            pages.seek(self._first_page * 8)
            entries = np.frombuffer(pages.read(self._pages * 8), np.uint64)
        if entries.size != self._pages:
            raise OSError(f"{_PAGES} has no entries")
        return np.flatnonzero(((entries & _THERE) != 0) & ((entries & _OF_FILE) == 0) & self._in_common)

    def settle(self, places: Sequence[slice]) -> None:
        """Make common what ranks have written, and read what is common from here on.

        Args:
            places: of the elements of each array that this rank writes for all. What all ranks write, they write alike.

        Ranks: local; every rank of the machine, each with places of its own, and none that another one reads before
            they have agreed.
        """
        pages = self.written()
        if not pages.size:
            return
        for run in np.split(pages, np.flatnonzero(np.diff(pages) > 1) + 1):
            first, last = int(run[0]) * mmap.PAGESIZE, (int(run[-1]) + 1) * mmap.PAGESIZE
            for (name, own), start in zip(self.own.items(), self._starts, strict=True):
                begin, end = ((bound - start) // own.itemsize for bound in (first, last))
                for place in places:
                    inner = slice(max(place.start, begin), min(place.stop, end))
                    if inner.start < inner.stop:
                        self.shared[name][inner] = own[inner]
            self._private.madvise(mmap.MADV_DONTNEED, first, last - first)

    def find(self, names: Collection[str], rank: int, ranks: int) -> None:
        """Have the system find memory for all of some arrays, of which ranks held parts: a rank's share of it.

        Raises:
            OSError: if there is not enough. Older systems than Linux 5.14 do not say so before it is used.

        Ranks: local; every rank of the machine.
        """
        for (name, array), start in zip(self.own.items(), self._starts, strict=True):
            pages = _in_pages(array.nbytes) // mmap.PAGESIZE
            first, last = (pages * number // ranks * mmap.PAGESIZE for number in (rank, rank + 1))
            if name in names and first < last:
                try:
                    self._shared.madvise(_POPULATE_WRITE, start + first, last - first)
                except OSError as error:
                    if error.errno != errno.EINVAL:
                        raise

    def forget(self, names: Collection[str]) -> None:
        """Read what is common of some arrays again, whatever this rank has written to its own.

        Ranks: local.
        """
        for (name, array), start in zip(self.own.items(), self._starts, strict=True):
            if name in names and array.size:
                self._private.madvise(mmap.MADV_DONTNEED, start, _in_pages(array.nbytes))

    def give_back(self, rank: int, place: slice) -> None:
        """Let the system have the memory of some of a rank's gradients, which read as zeros until they are written.

        Unlike what `reserve` found, it may be somebody else's by then.

        Ranks: local; that rank itself, while no other reads them.
        """
        start, size = self._gradient_starts[rank], self.gradients[rank].itemsize
        first, last = (
            _in_pages(start + place.start * size),
            (start + place.stop * size) // mmap.PAGESIZE * mmap.PAGESIZE,
        )
        if first < last:
            with contextlib.suppress(OSError):  # then it stays here
                self._shared.madvise(mmap.MADV_REMOVE, first, last - first)


def reserve(file: int, stretches: Sequence[tuple[int, int]]) -> None:
    """Have the system find the memory for stretches of a file, before anybody counts on it, and near this rank.

    Args:
        file: its descriptor.
        stretches: the first byte of each, and the one behind its last.

    Raises:
        OSError: if there is not enough.

    Ranks: local; each its own stretches.
    """
    for start, stop in stretches:
        if start < stop:
            os.posix_fallocate(file, start, stop - start)


def _starts(fields: Mapping[str, Field]) -> tuple[list[int], int]:
    """Return where each array begins, and where the last one ends, in bytes."""
    sizes = [_in_pages(field.size * field.dtype.itemsize) for field in fields.values()]
    bounds = [0, *np.cumsum(sizes, dtype=int).tolist()]
    return bounds[:-1], bounds[-1]


def _in_pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
