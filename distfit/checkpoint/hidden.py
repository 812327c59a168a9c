"""Hidden names, for what is half written or half removed, and what a process left under one when it died.

The name says who is at work, so that what a process left that died can be told from what another one is about to
finish.
"""

from __future__ import annotations

import os
import re
import socket
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from distfit.checkpoint import files

_FOREIGN_SECONDS = 3600.0
"""How long what another machine left is taken for work in progress.

Its processes cannot be seen from here. A writer at work touches its folder with each piece that it writes: where
nothing was touched for an hour, nobody is at work.
"""

HIDDEN = re.compile(
    r"\.(?P<name>.+)\.(?P<host>[\w-]+)\.(?P<pid>\d+)-(?P<began>\d+)\.(?P<why>unfinished|removed)"
)


def remove_leftovers(
    folder: Path, names: re.Pattern[str], are_of_kind: Callable[[Path], bool] = Path.is_dir
) -> None:
    """Remove what writers and removers of such names left in a folder when they died.

    What cannot be removed, as another user's, stays: it takes room, and there is a warning of it, but nobody reads it.

    Args:
        folder: that the names are in.
        names: the whole of a name matches it.
        are_of_kind: says whether it is a folder, or a file: of the other kind another thread may be at work.

    Raises:
        OSError: if the folder cannot be read.

    Ranks: local; one rank.
    """
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = HIDDEN.fullmatch(path.name)
        if not match or not names.fullmatch(match["name"]) or not are_of_kind(path) or path.is_symlink():
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
    inside = path.iterdir() if path.is_dir() else ()
    touched: float = max(entry.lstat().st_mtime for entry in (path, *inside))
    return time.time() - touched < _FOREIGN_SECONDS


def hidden(target: Path, ending: str) -> Path:
    """Return the name under which this process works on a file or folder.

    Args:
        target: whose own name it will be, or was.
        ending: ``"unfinished"`` or ``"removed"``.

    Ranks: local.
    """
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
