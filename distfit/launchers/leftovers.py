"""Shared memory and temporary folders that MPI leaves behind where its ranks are killed."""

import contextlib
import ctypes
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from distfit.launchers.process import all_processes, files_of

_PATTERNS = ("mpich_shm_*", "vader_segment.*", "sm_segment.*")
_IN_CREATE = 0x100  # of inotify(7)
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where MPI makes it


class Leftovers:
    """What one job may leave in shared memory.

    Segments carry no mark of their job, and those of another one have names like these. So the job's own are noted
    while it runs. A segment is its own if a rank of this job had it open or mapped when it was first seen: whoever
    makes a segment has it open from the first moment on, and another job's is never opened by ours, in whichever
    container that other job runs. When the job is over, what was noted is removed if it is still the same file, belongs
    to this user, and no living process has it. One that was made and left within the moment between two looks stays:
    it could be anybody's.

    Args:
        folder: in which the segments are.

    Ranks: local; the supervisor's.
    """

    def __init__(self, folder: Path = _SHARED_MEMORY) -> None:
        self._folder = folder
        self._known = set(self._listed())  # what was there before the job is not its own
        self._own: dict[Path, int] = {}
        self.bell = _creations(folder)

    def close(self) -> None:
        """Watch the folder no longer."""
        os.close(self.bell)

    def look(self, processes: Iterable[int]) -> None:
        """Note new segments that ranks of the job have.

        Args:
            processes: of the ranks on this machine.
        """
        with contextlib.suppress(BlockingIOError):
            os.read(self.bell, 1 << 16)
        new = [(path, inode) for path, inode in self._listed() if (path, inode) not in self._known]
        if not new:
            return
        held = set().union(*map(files_of, processes))
        self._known.update(new)
        self._own.update((path, inode) for path, inode in new if str(path) in held)

    def remove(self) -> list[Path]:
        """Remove what is left of those that were noted, and return their paths."""
        left = [path for path, inode in self._listed() if self._own.get(path) == inode]
        if not left:
            return []
        held = set().union(*map(files_of, all_processes()))
        removed = [path for path in left if str(path) not in held]
        for path in removed:
            path.unlink(missing_ok=True)
        return removed

    def _listed(self) -> list[tuple[Path, int]]:
        """Return this user's segments, with what tells a file from a later one of the same name."""
        found = []
        for pattern in _PATTERNS:
            for path in self._folder.glob(pattern):
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid():
                        found.append((path, status.st_ino))
        return found


def _creations(folder: Path) -> int:
    """Return a descriptor that can be read when something is made in a folder.

    Where the folder cannot be watched it is one that never can be: what looks there are then come at their intervals.
    """
    libc = ctypes.CDLL(None)
    descriptor: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if libc.inotify_add_watch(descriptor, os.fsencode(folder), _IN_CREATE) >= 0:
        return descriptor
    if descriptor >= 0:
        os.close(descriptor)
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)


def remove_session_folder(launcher: int) -> None:
    """Remove the folder of Open MPI's launcher, which has the number of its process in its name.

    Args:
        launcher: of this job. Its number is its own as long as it has not been waited for.

    Ranks: local; the supervisor's, once the launcher has ended and before it is waited for.
    """
    folder = Path(tempfile.gettempdir(), f"ompi.{launcher}")
    with contextlib.suppress(OSError):
        if folder.lstat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)
