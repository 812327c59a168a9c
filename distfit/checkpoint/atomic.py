"""Files that are whole or absent, whenever the process dies."""

import os
from collections.abc import Callable
from pathlib import Path

from distfit.utils.activity import doing


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], None]) -> None:
    """Write a file under another name, bring it to the disk, and only then give it its own.

    Args:
        path: of the file. Its folder is made where it is missing.
        write: writes the file that it is given the path of.

    Raises:
        OSError: and whatever `write` raises. What stood there before is still there then.

    Ranks: local; one rank.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        with doing(f"writes {target}"):
            write(unfinished)
            unfinished.chmod(0o666 & ~_umask())  # some libraries write files that only their owner may read
            with unfinished.open("rb+") as file:
                os.fsync(file.fileno())
            unfinished.replace(target)
            _sync_folder(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _umask() -> int:
    """Return the process's mask of permissions, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk: the new name is one of them."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
