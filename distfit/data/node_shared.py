"""Arrays of which the ranks of a node share one copy, without a message between them."""

from __future__ import annotations

import os
import stat
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from distfit.data.array_file import read_arrays, write_arrays
from distfit.data.node_job import node_job


def node_shared(
    load: Callable[[], Any], *, name: str, folder: str | os.PathLike[str] | None = None, timeout: float = 3600
) -> Any:
    """Return what `load` returns, of which the ranks of a node share one copy.

    The first rank of a node that comes calls `load`, and writes the arrays to a memory-mapped file; the others of the
    same job wait for it, and map that. Sixty-four ranks so hold one copy of a data set, and load it once. While the
    first rank writes, it alone holds a second copy.

    The file has no name that could be left behind: the system frees it with the last process that maps it, however
    that ends. A rank that comes when the first one has dropped its arrays, or has ended, loads them anew.

    Args:
        load: takes nothing, and returns an array, or tuples, lists and dicts of arrays. None of Python objects.
        name: of the data, within the job. Two data sets need two names: put what `load` depends on, such as a path,
            into it.
        folder: on a local disk, for data that would not leave the node enough memory. By default the file is in memory,
            where it needs no space in /dev/shm.
        timeout: seconds for which a rank waits for the one that loads.

    Returns:
        The same arrays in the same tree, read-only.

    Raises:
        TimeoutError: naming the process that has been loading for that long.
        Exception: whatever `load` raises; the next rank then calls it.

    Ranks: local, each when it likes: there is no MPI in it. One waits only for one that is loading, at a lock that the
        system lifts when its holder ends.

    Example:
        >>> import numpy as np
        >>> from distfit import data
        >>> x, y = data.node_shared(lambda: (np.arange(6.0).reshape(3, 2), np.arange(3)), name="three rows")
        >>> x.shape, y.tolist(), x.flags.writeable
        ((3, 2), [0, 1, 2], False)
    """
    key = f"{node_job()} {name}"
    link = _meeting_place() / sha256(key.encode()).hexdigest()[:32]
    lock = FileLock(f"{link}.lock", timeout=timeout)
    try:
        lock.acquire()
    except Timeout:
        raise TimeoutError(
            f"{_holder(Path(lock.lock_file))} of this node has been loading {name!r} for {timeout:g} seconds. If that"
            " is what it takes, give node_shared a longer timeout="
        ) from None
    try:
        shared = _mapped(link, key)
        return _published(load(), link, key, folder) if shared is None else shared
    finally:
        lock.release()


def _published(tree: Any, link: Path, key: str, folder: str | os.PathLike[str] | None) -> Any:
    """Write arrays to a file without a name, and tell the others where it is: a link leads to this process's.

    The link is made when the file is whole. Nobody follows it once this process has ended.
    """
    file = _nameless(folder)
    try:
        with open(file, "wb", closefd=False) as written:
            write_arrays(written, key, tree)
        link.unlink(missing_ok=True)  # that of a process which has ended
        link.symlink_to(f"/proc/{os.getpid()}/fd/{file}")
        mapped = mmap(file, 0, access=ACCESS_READ)
    except BaseException:
        os.close(file)
        raise
    weakref.finalize(mapped, _withdraw, os.getpid(), file, link)  # also when Python ends
    return read_arrays(mapped, key)


def _nameless(folder: str | os.PathLike[str] | None) -> int:
    if folder is None:
        return os.memfd_create("distfit")
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.dup(file.fileno())


def _withdraw(process: int, file: int, link: Path) -> None:
    """Show nobody the file any more: first the link, which nobody replaces as long as it leads somewhere."""
    if os.getpid() == process:  # and no child that was forked, whose parent's file it is
        with suppress(OSError):
            link.unlink()
    os.close(file)


def _mapped(link: Path, key: str) -> Any:
    """Return the arrays to which a link leads, or None.

    What a link of a process that has ended leads to may be anything by now, since the system gives numbers of processes
    again: it is used only if it says that it is what is looked for, and opened so that nobody waits.
    """
    try:
        file = os.open(link, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or not found.st_size:
            return None
        return read_arrays(mmap(file, 0, access=ACCESS_READ), key)
    finally:
        os.close(file)


def _meeting_place() -> Path:
    """Return this user's folder for links and locks, which take no space.

    Raises:
        PermissionError: if another user made it.
    """
    folder = Path(tempfile.gettempdir()) / f"distfit-node-shared-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user. Set TMPDIR to a folder of your own")
    return folder


def _holder(lock: Path) -> str:
    """Say which process holds a lock."""
    inode = lock.stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        _, kind, _, _, process, place, *_ = line.split()
        if kind == "FLOCK" and place.endswith(f":{inode}"):
            return f"process {process}"
    return "another process"
