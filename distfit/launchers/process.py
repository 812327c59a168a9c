"""What Linux tells of other processes, and one that ends with this."""

import contextlib
import ctypes
import os
import signal
from pathlib import Path

_PROC = Path("/proc")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent` ends, however that ends.

    Ranks: local; between fork and exec of a child of `parent`.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def catches(pid: int, number: signal.Signals) -> bool:
    """Say whether a process has a handler for a signal.

    Ranks: local.

    Example:
        >>> import os, signal
        >>> catches(os.getpid(), signal.SIGINT)  # Python's own
        True
    """
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def carriers(variable: str) -> list[int]:
    """Return the processes of this user in whose environment a variable begins like this, whatever session they are in.

    Args:
        variable: as in ``"NAME=begin"``.

    Ranks: local.
    """
    found = []
    for process in all_processes():
        with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
            environment = (_PROC / str(process) / "environ").read_bytes().split(b"\0")
            if any(entry.startswith(variable.encode()) for entry in environment):
                found.append(process)
    return found


def runs(pid: int) -> bool:
    """Say whether there is such a process, and it has not ended yet.

    Ranks: local.

    Example:
        >>> import os
        >>> runs(os.getpid())
        True
    """
    with contextlib.suppress(OSError):
        # The state follows the name, which is in brackets and may itself have any.
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def files_of(pid: int) -> set[str]:
    """Return the paths of the files that a process has open or mapped.

    What is mapped is read last: who maps a file and closes it then is seen by the one or the other.

    Ranks: local.
    """
    found = set()
    folder = _PROC / str(pid)
    with contextlib.suppress(OSError):
        for descriptor in (folder / "fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(os.readlink(descriptor))
    with contextlib.suppress(OSError):
        fields = [line.split(maxsplit=5) for line in (folder / "maps").read_text().splitlines()]
        found.update(line[5] for line in fields if len(line) == 6)
    return found


def all_processes() -> list[int]:
    """Return the numbers of all processes of the machine that this one sees.

    Ranks: local.
    """
    return [int(folder.name) for folder in _PROC.iterdir() if folder.name.isdigit()]
