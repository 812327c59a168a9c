"""What the ranks of a job have in common on their node, known without a message."""

from __future__ import annotations

import os
from pathlib import Path

from distfit._rank_variables import RANK_VARIABLES

_PROC = Path("/proc")


def node_job() -> str:
    """Return a text that is the same for the ranks of a job on this node, and for no other process.

    It names the process that started them all, which is mpiexec's or the batch system's on this node: the nearest
    ancestor that was not itself told to be a rank, as a shell around the program was. Where no launcher started this
    process, that is its parent.

    Ranks: local.
    """
    name = next((name for name in RANK_VARIABLES if name in os.environ), None)
    process = os.getppid()
    while name is not None and _has(process, name):
        process = int(_status(process)[1])
    process = process or os.getpid()  # 0: it was started from outside of this container, where nobody is seen
    return f"{os.uname().nodename} {process} {_status(process)[19]}"


def _has(process: int, variable: str) -> bool:
    try:
        environment = (_PROC / str(process) / "environ").read_bytes()
    except OSError:  # another user's: the batch system's
        return False
    return any(entry.startswith(f"{variable}=".encode()) for entry in environment.split(b"\0"))


def _status(process: int) -> list[str]:
    """Return the fields of a process behind its name: the second is its parent, the 20th when it was started."""
    return (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
