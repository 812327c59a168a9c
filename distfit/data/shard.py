"""Which rows of a global batch are a rank's: a contiguous part, as equal as can be, or those that it holds."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np


class Partition(ABC):
    """Divides a global batch among the ranks."""

    @abstractmethod
    def part(self, rows: np.ndarray) -> tuple[int, np.ndarray]:
        """Return the place of this rank's first row within a global batch, and the rows where this rank finds them.

        Args:
            rows: of the global batch, ascending, int64.
        """


@dataclass(frozen=True, slots=True)
class EvenPartition(Partition):
    """Rank `rank` of `size` takes the `rank`-th part; the parts' lengths differ by at most one.

    Example:
        >>> import numpy as np
        >>> from distfit.data import EvenPartition
        >>> EvenPartition(rank=2, size=3).part(np.arange(7))
        (5, array([5, 6]))
    """

    rank: int
    size: int

    def part(self, rows: np.ndarray) -> tuple[int, np.ndarray]:
        start, stop = bounds(len(rows), self.rank, self.size)
        return start, rows[start:stop]


@dataclass(frozen=True, slots=True)
class HeldPartition(Partition):
    """The rank holds rows `offset` to ``offset + length`` of the data set, and takes what it holds of each batch."""

    offset: int
    length: int

    def part(self, rows: np.ndarray) -> tuple[int, np.ndarray]:
        start, stop = np.searchsorted(rows, [self.offset, self.offset + self.length])
        return int(start), rows[start:stop] - self.offset


def bounds(length: int, rank: int, size: int) -> tuple[int, int]:
    """Return where the part of a rank begins and ends, of `length` rows among `size` ranks.

    The first ``length % size`` ranks have one row more than the others.

    Example:
        >>> from distfit.data.shard import bounds
        >>> [bounds(7, rank, 3) for rank in range(3)]
        [(0, 3), (3, 5), (5, 7)]
    """
    rows, more = divmod(length, size)
    start = rank * rows + min(rank, more)
    return start, start + rows + (rank < more)
