"""A notice board in memory, on which each rank of a group says what it does, and reads what the others do.

The ranks of a machine share one, a `memory_file`. Where it cannot be shared, as between containers, a rank has a board
to itself and knows nothing of the others. Only watchdogs read and write it: it costs the training nothing, and needs no
lock, since each row has one writer and a number that is read half an update too early matters to nobody.
"""

import contextlib
import mmap
import os
import weakref

import numpy as np

from distfit.comm import memory_file
from distfit.comm.memory_file import Place

PURPOSE = "distfit-board"
TEXT_BYTES = 216

ROW = np.dtype([
    ("beat", "<i8"),  # how often the rank's watchdog has looked around; 0 before it was heard of
    ("calls", "<i8"),  # collectives of the group that it has begun
    ("finished", "<i8"),  # pieces of work that it has finished
    ("step", "<i8"),  # of its training
    ("text", f"S{TEXT_BYTES}"),  # what it does, in UTF-8
])  # fmt: skip


class Board:
    """The rows of all ranks of a group.

    Args:
        size: how many there are.
        file: a descriptor of what they are shared by; None for a board that no other rank sees. It is closed with the
            board.
        place: where others find it; None if they cannot.

    Attributes:
        rows: an array of `ROW`, by rank.

    Example:
        >>> from distfit.comm.board import Board
        >>> board = Board.make(size=2)
        >>> seen = Board.open(board.place, size=2)
        >>> board.write(1, beat=1, calls=5, finished=9, step=3, text="reads a batch")
        >>> seen.text(1)
        'reads a batch'
    """

    def __init__(self, size: int, file: int | None = None, place: Place | None = None) -> None:
        self.place = place
        self.rows = np.frombuffer(mmap.mmap(-1 if file is None else file, size * ROW.itemsize), ROW)
        if file is not None:
            weakref.finalize(self, os.close, file)

    @classmethod
    def make(cls, size: int) -> "Board":
        """Make a board that others may open.

        Ranks: local.
        """
        try:
            file, place = memory_file.make(PURPOSE, size * ROW.itemsize)
        except OSError:
            return cls(size)
        return cls(size, file, place)

    @classmethod
    def open(cls, place: Place | None, size: int) -> "Board":
        """Return a view of another rank's board, or a board of one's own where that cannot be had.

        Ranks: local.
        """
        with contextlib.suppress(OSError):
            if place is not None:
                return cls(size, place.open(), place)
        return cls(size)

    def write(self, rank: int, *, beat: int, calls: int, finished: int, step: int, text: str) -> None:
        """Write a rank's row."""
        self.rows[rank] = (beat, calls, finished, step, text.encode()[:TEXT_BYTES])

    def text(self, rank: int) -> str:
        """Return what a rank does."""
        return bytes(self.rows["text"][rank]).decode(errors="ignore")
