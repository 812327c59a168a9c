"""The system calls that a checkpoint's writing and removal take, each a function of its own.

All of it goes through here, so that a test can let the process die, or the disk be full, at any one of them.
Permissions are what the process's umask leaves, as for any other file that it makes.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path


def make_folder(path: Path) -> None:
    """Make a folder that is not there yet."""
    os.mkdir(path)


def create(path: Path) -> int:
    """Make a file that is not there yet, and return its descriptor."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)


def open_folder(path: Path) -> int:
    """Return a folder's descriptor, to bring its entries to the disk."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


def write(descriptor: int, data: memoryview) -> int:
    """Write some of the bytes, and return how many."""
    return os.write(descriptor, data)


def start_sync(descriptor: int, offset: int, length: int) -> None:
    """Let the system begin to bring bytes to the disk, and not wait for it.

    It is told that nobody will read them soon. Then it begins with them at once, so that the disk works while the next
    bytes are digested.
    """
    with contextlib.suppress(OSError):  # a hint, which not every file system takes
        os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)


def sync(descriptor: int) -> None:
    """Wait until what was written is on the disk."""
    os.fsync(descriptor)


def close(descriptor: int) -> None:
    """Close a descriptor."""
    os.close(descriptor)


def rename(path: Path, target: Path) -> None:
    """Give a file or folder another name, in one step."""
    os.rename(path, target)


def unlink(path: Path) -> None:
    """Remove a file."""
    os.unlink(path)


def remove_folder(path: Path) -> None:
    """Remove an empty folder."""
    os.rmdir(path)


CALLS: tuple[Callable[..., object], ...] = (
    make_folder, create, open_folder, write, start_sync, sync, close, rename, unlink, remove_folder,
)  # fmt: skip
"""All of them."""


def sync_folder(path: Path) -> None:
    """Bring a folder's entries to the disk: a name that was given or taken away is one of them.

    Ranks: local.
    """
    descriptor = open_folder(path)
    try:
        sync(descriptor)
    finally:
        close(descriptor)


def make_folders(path: Path) -> None:
    """Make a folder, and those that it lies in, where they are missing; their names are on the disk then.

    Ranks: local.
    """
    if path.is_dir():
        return
    make_folders(path.parent)
    try:
        make_folder(path)
    except FileExistsError:
        if not path.is_dir():  # or else another process made it in the meantime
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    sync_folder(path.parent)


def remove_tree(path: Path) -> None:
    """Remove a folder with all that is in it, or a file; of a link, nothing of what it leads to.

    Ranks: local.
    """
    if path.is_symlink() or not path.is_dir():
        unlink(path)
        return
    for entry in sorted(path.iterdir()):
        remove_tree(entry)
    remove_folder(path)
