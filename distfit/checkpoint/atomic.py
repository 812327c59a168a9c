"""Files that are whole or absent, whenever the process dies."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from distfit.checkpoint import files
from distfit.checkpoint.hidden import hidden, remove_leftovers
from distfit.utils.activity import doing

_ANY_NAME = re.compile(".+")


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], None]) -> None:
    """Write a file under a hidden name, bring it to the disk, and only then give it its own.

    What others left half written in the same folder when they died is removed.

    Args:
        path: of the file. Its folder is made where it is missing.
        write: writes the file that it is given the path of.

    Raises:
        OSError: and whatever `write` raises. What stood there before is still there then.

    Ranks: local; one rank.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target.parent, _ANY_NAME, Path.is_file)
    unfinished = hidden(target, "unfinished")
    try:
        with doing(f"writes {target}"):
            write(unfinished)
            unfinished.chmod(0o666 & ~_umask())  # some libraries write files that only their owner may read
            with unfinished.open("rb+") as file:
                os.fsync(file.fileno())
            unfinished.replace(target)
            files.sync_folder(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _umask() -> int:
    """Return the process's mask of permissions.

    From the system's own account of the process: the call for it sets it, too, and another thread may be making a file.
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Umask:")), 8)
