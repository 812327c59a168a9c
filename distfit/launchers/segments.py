"""MPI's segments of shared memory, as files."""

import contextlib
import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from distfit.launchers.process import all_processes, files_of

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where MPI makes it
"""The folder of all segments."""

_PATTERNS = ("mpich_shm_*", "vader_segment.*", "sm_segment.*")
_IN_CREATE = 0x100  # of inotify(7)


class Segment(NamedTuple):
    """A segment.

    Attributes:
        path: of its file.
        inode: which tells it from a later one of the same name.
    """

    path: Path
    inode: int


def segments(folder: Path) -> list[Segment]:
    """Return this user's segments in a folder.

    Ranks: local; the supervisor's.
    """
    found = []
    for path in (path for pattern in _PATTERNS for path in folder.glob(pattern)):
        with contextlib.suppress(OSError):  # it was removed meanwhile
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid():
                found.append(Segment(path, status.st_ino))
    return found


def remove_unused(own: Iterable[Segment], folder: Path) -> list[Path]:
    """Remove those of some segments that are still there, and that no living process has; return their paths.

    Args:
        own: what may be removed.
        folder: in which they are.

    Ranks: local; the supervisor's.
    """
    left = set(own).intersection(segments(folder))
    held = set().union(*map(files_of, all_processes())) if left else set()
    removed = [path for path, _ in left if str(path) not in held]
    for path in removed:
        path.unlink(missing_ok=True)
    return removed


def creations(folder: Path) -> int:
    """Return a descriptor that can be read when something is made in a folder.

    Where the folder cannot be watched it is one that never can be: what looks there are then come at their intervals.

    Ranks: local; the supervisor's.
    """
    libc = ctypes.CDLL(None)
    descriptor: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if libc.inotify_add_watch(descriptor, os.fsencode(folder), _IN_CREATE) >= 0:
        return descriptor
    if descriptor >= 0:
        os.close(descriptor)
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
