"""One flat buffer for all parameters of a model, or for all their gradients: what is sent and updated at once."""

from collections.abc import Sequence

import numpy as np

_ALIGNMENT = 64  # bytes: a cache line, and what vector instructions like best


class Arena:
    """A flat buffer whose parts are handed out as views.

    Between the parts lie gaps of zeros up to the next cache line; sums and updates leave them zero.

    Args:
        shapes: of the parts, in order.
        dtype: of all of them.

    Attributes:
        buffer: the whole, one-dimensional.
        starts: each part's first element.
        stops: where each part ends, the gap of zeros behind it included.
        views: the parts, in their shapes.

    Example:
        >>> from distfit.engines.arena import Arena
        >>> arena = Arena([(2, 3), (3,)], "float32")
        >>> arena.starts, arena.views[0].shape
        ([0, 16], (2, 3))
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], dtype: str) -> None:
        step = _ALIGNMENT // np.dtype(dtype).itemsize
        sizes = [int(np.prod(shape)) for shape in shapes]
        self.stops = np.cumsum([-(-size // step) * step for size in sizes], dtype=int).tolist()
        self.starts = [0, *self.stops[:-1]][: len(sizes)]
        length = self.stops[-1] if self.stops else 0
        room = np.zeros(length + step, dtype)
        first = (-room.ctypes.data % _ALIGNMENT) // room.itemsize
        self.buffer = room[first : first + length]
        self.views = [
            self.buffer[start : start + size].reshape(shape)
            for start, size, shape in zip(self.starts, sizes, shapes, strict=True)
        ]
