"""What MPI leaves in shared memory where its ranks are killed."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from distfit.launchers.process import files_of
from distfit.launchers.segments import SHARED_MEMORY, Segment, creations, remove_unused, segments

NOTE = "segments"
"""The file in a job's folder that lists the segments which are the job's."""


class Leftovers:
    """What one job may leave in shared memory.

    Segments carry no mark of their job, and those of another one have names like these. So the job's own are noted
    while it runs. A segment is its own if a rank of this job had it open or mapped when it was first seen: whoever
    makes a segment has it open from the first moment on, and another job's is never opened by ours, in whichever
    container that other job runs. When the job is over, what was noted is removed if it is still the same file, belongs
    to this user, and no living process has it. One whose makers were gone before anybody could look stays: it could be
    anybody's.

    Args:
        note: the file in which they are noted, for whoever cleans up in this process's place.
        folder: in which the segments are.

    Attributes:
        bell: a descriptor that can be read when there is something new, and it is time for a look.

    Ranks: local; the supervisor's.
    """

    def __init__(self, note: Path, folder: Path = SHARED_MEMORY) -> None:
        self._note, self._folder = note, folder
        self._known = set(segments(folder))  # what was there before the job is not its own
        self.bell = creations(folder)

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
        new = set(segments(self._folder)).difference(self._known)
        if not new:
            return
        self._known |= new
        held = set().union(*map(files_of, processes))
        with self._note.open("a") as note:
            note.writelines(f"{inode} {path}\n" for path, inode in new if str(path) in held)

    def remove(self) -> list[Path]:
        """Remove what is left of those that were noted, and return their paths."""
        return remove_noted(self._note, self._folder)


def remove_noted(note: Path, folder: Path) -> list[Path]:
    """Remove what a job has left, and return the paths.

    Args:
        note: the file in which its segments are noted.
        folder: in which they are.

    Ranks: local; the supervisor's, when no rank of the job lives any more.
    """
    lines = [line.split(maxsplit=1) for line in note.read_text().splitlines()] if note.exists() else []
    return remove_unused([Segment(Path(path), int(inode)) for inode, path in lines], folder)
