"""How a folder comes to be whole or absent, whenever the process dies, and how it goes.

It is written under a hidden name, and brought to the disk with all that is in it; then it gets its own name, in one
step; then that name is brought to the disk. It goes the other way round: first it loses its name. So whatever has a
hidden name is half a folder, which was never there or is no longer. The hidden name says who is at work on it: what a
process left that died can be told from what another one is about to finish.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
import warnings
from pathlib import Path

from distfit.checkpoint import files

_FOREIGN_SECONDS = 3600.0
"""How long what another machine left is taken for work in progress.

Its processes cannot be seen from here. A writer at work touches its folder with each piece that it writes: where
nothing was touched for an hour, nobody is at work.
"""

_HIDDEN = re.compile(
    r"\.(?P<name>.+)\.(?P<host>[\w-]+)\.(?P<pid>\d+)-(?P<began>\d+)\.(?P<why>unfinished|removed)"
)


def begin(target: Path) -> Path:
    """Make the hidden folder in which `target` is to be written, and return its path.

    What writers of the same target left that died is removed.

    Raises:
        FileExistsError: if there is something at `target` already.
        OSError: if the folder cannot be made.

    Ranks: local; one rank.
    """
    if os.path.lexists(target):
        raise FileExistsError(
            f"a checkpoint is never overwritten, and {target} is there already. Give another path, or remove it"
        )
    files.make_folders(target.parent)
    remove_leftovers(target.parent, re.compile(re.escape(target.name)))
    unfinished = _hidden(target, "unfinished")
    if (
        unfinished.exists()
    ):  # it is this process's own, which has one under way at most, and could not remove it
        files.remove_tree(unfinished)
    files.make_folder(unfinished)
    return unfinished


def finish(unfinished: Path) -> Path:
    """Give a hidden folder, whose files are on the disk, its own name, and return it.

    Raises:
        OSError: if that fails. The folder is hidden still, or has its name.

    Ranks: local; one rank.
    """
    match = _HIDDEN.fullmatch(unfinished.name)
    if match is None:
        raise ValueError(f"{unfinished} is no folder that begin() made")
    target = unfinished.with_name(match["name"])
    if os.path.lexists(target):
        raise FileExistsError(f"{target} was made by somebody else while it was written")
    files.sync_folder(unfinished)
    files.rename(unfinished, target)
    files.sync_folder(target.parent)
    return target


def abandon(unfinished: Path) -> None:
    """Remove a hidden folder after an error, which is what the caller is to hear of: this raises none.

    Ranks: local; one rank.
    """
    with contextlib.suppress(OSError):
        files.remove_tree(unfinished)


def remove(folders: list[Path]) -> None:
    """Remove folders of the same parent, each of which is whole until it is gone.

    Raises:
        OSError: if that fails.

    Ranks: local; one rank.
    """
    hidden = []
    for folder in folders:
        hidden.append(_hidden(folder, "removed"))
        if hidden[-1].exists():  # of this process, which did not get to the end of it
            files.remove_tree(hidden[-1])
        files.rename(folder, hidden[-1])
    # Before any file goes: else a power cut might bring the old name back, and not the file.
    for parent in {path.parent for path in hidden}:
        files.sync_folder(parent)
    for path in hidden:
        files.remove_tree(path)


def remove_leftovers(folder: Path, names: re.Pattern[str]) -> None:
    """Remove what writers and removers of such names left in a folder when they died.

    What cannot be removed, as another user's, stays: it takes room, and there is a warning of it, but nobody reads it.

    Args:
        folder: that the names are in.
        names: the whole of a name matches it.

    Raises:
        OSError: if the folder cannot be read.

    Ranks: local; one rank.
    """
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _HIDDEN.fullmatch(path.name)
        if not match or not names.fullmatch(match["name"]) or not path.is_dir() or path.is_symlink():
            continue
        try:
            if not _at_work(path, match):
                files.remove_tree(path)
        except OSError as error:
            warnings.warn(f"{path}, left by a process that died, cannot be removed: {error}", stacklevel=3)


def _at_work(path: Path, match: re.Match[str]) -> bool:
    """Say whether the process that named a folder may still be at work on it."""
    pid = int(match["pid"])
    if match["host"] == _host():
        # A removal of this process is over: this one is called by the thread that would be at it.
        is_over = pid == os.getpid() and match["why"] == "removed"
        return _when_began(pid) == int(match["began"]) and not is_over
    touched = max(entry.lstat().st_mtime for entry in (path, *path.iterdir()))
    return time.time() - touched < _FOREIGN_SECONDS


def _hidden(target: Path, ending: str) -> Path:
    pid = os.getpid()
    return target.with_name(f".{target.name}.{_host()}.{pid}-{_when_began(pid)}.{ending}")


def _host() -> str:
    return re.sub(r"[^\w-]", "-", socket.gethostname())


def _when_began(pid: int) -> int:
    """Return when a process began, in clock ticks since the machine did; 0 if there is no such process.

    A number is given to another process sooner or later, in a container at its next start. The two did not begin at
    the same time.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return int(status.rpartition(")")[2].split()[19])  # field 22 of proc_pid_stat(5)
