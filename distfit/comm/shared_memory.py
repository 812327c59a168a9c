"""MPICH's shared memory of a node, which would outlive ranks that are killed."""

import contextlib
from pathlib import Path

_SEGMENT = "/dev/shm/mpich_shm_"  # noqa: S108 - MPICH's name for it
_MAPS = Path("/proc/self/maps")


def forget_names() -> None:
    """Take away the names of MPICH's segments, which all ranks of the node have mapped when MPI has started.

    Nobody needs a name any more, and the memory goes with the last process that maps it. MPICH itself removes the name
    at the end of a job in order: after `kill -9`, or what a system does that is short of memory, it never would, and
    some megabytes of the node's memory would stay in use until somebody noticed.

    Ranks: local; one of each node, once all of them have started MPI. Does nothing under another MPI.
    """
    with contextlib.suppress(OSError):  # no Linux, or no right to: the names are then MPICH's own affair
        fields = [line.split(maxsplit=5) for line in _MAPS.read_text().splitlines()]
        for path in {line[5] for line in fields if len(line) == 6 and line[5].startswith(_SEGMENT)}:
            Path(path).unlink(missing_ok=True)
