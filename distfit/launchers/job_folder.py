"""The folder of a job's records, and those of jobs whose supervisor was killed.

A supervisor that is killed takes mpiexec and the ranks with it, but can clean nothing. The next one of this user on the
machine does that.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distfit.launchers.leftovers import NOTE, remove_noted
from distfit.launchers.segments import SHARED_MEMORY

_PREFIX = "distfit-"


@contextmanager
def job_folder() -> Iterator[Path]:
    """Make a folder that goes with the block, and is locked until then.

    Ranks: local; the supervisor's.

    Example:
        >>> with job_folder() as folder:
        ...     print(folder.is_dir())
        True
    """
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / NOTE).touch()  # by which it is known to have been locked
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_abandoned(shared: Path = SHARED_MEMORY) -> None:
    """Remove what jobs have left whose supervisor is gone.

    That a supervisor lives is told by its lock, and not by the number of its process: it may be in a container, where
    numbers are others. A folder without a note is another's, or was not locked yet.

    Args:
        shared: the folder of all segments.

    Ranks: local; the supervisor's.
    """
    for note in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{NOTE}"):
        folder = note.parent
        with contextlib.suppress(OSError):  # it is another user's, is no folder, or was removed meanwhile
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(lock).st_uid == os.getuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove_noted(note, shared)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
