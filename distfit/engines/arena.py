"""One flat buffer for all parameters of a model, or for all their gradients: what is sent and updated at once."""

import mmap
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

_ALIGNMENT = 64  # bytes: a cache line, and what vector instructions like best


class Arena:
    """A flat buffer whose parts are handed out as views.

    Between the parts lie gaps of zeros up to the next cache line; sums and updates leave them zero.

    Args:
        shapes: of the parts, in order.
        dtype: of all of them.
        trained: how many of the parts, from the first on, updates may change. The others begin on a page of their own,
            since in memory that ranks share these are each rank's own.

    Attributes:
        buffer: the whole, one-dimensional.
        starts: each part's first element.
        stops: where each part ends, the gap of zeros behind it included.
        common: the elements in the parts that updates may change.
        views: the parts, in their shapes.

    Example:
        >>> from distfit.engines.arena import Arena
        >>> arena = Arena([(2, 3), (3,)], "float32")
        >>> arena.starts, arena.views[0].shape
        ([0, 16], (2, 3))
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], dtype: str, trained: int | None = None) -> None:
        step = _ALIGNMENT // np.dtype(dtype).itemsize
        page = mmap.PAGESIZE // np.dtype(dtype).itemsize
        bounds = [0]
        for number, shape in enumerate(shapes):
            if number == trained:
                bounds[-1] = _up_to(bounds[-1], page)
            bounds.append(bounds[-1] + _up_to(int(np.prod(shape)), step))
        self._shapes = list(shapes)
        self.starts, self.stops = map(list, zip(*pairwise(bounds), strict=True)) if shapes else ([], [])
        self.common = bounds[-1] if trained is None else (self.stops[trained - 1] if trained else 0)
        room = np.zeros(bounds[-1] + step, dtype)
        first = (-room.ctypes.data % _ALIGNMENT) // room.itemsize
        self.move(room[first : first + bounds[-1]])

    def move(self, buffer: np.ndarray) -> None:
        """Lie in another buffer of this length from here on, which holds the same already."""
        self.buffer = buffer
        self.views = [
            buffer[start : start + int(np.prod(shape))].reshape(shape)
            for start, shape in zip(self.starts, self._shapes, strict=True)
        ]


def _up_to(size: int, step: int) -> int:
    return -(-size // step) * step
