"""Becomes one rank: mpiexec runs this file for each, and it then turns into the program, in the same process.

So nothing stands between mpiexec and the program, or between its signals and the rank. The file is run by its path and
needs nothing but itself: as ``python -I -S rank.py`` it takes some ten milliseconds, and nothing in the user's folder
or environment can be in its way.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def become(
    variable: str, records: str, logs: str, terminal: str, error_terminal: str, restart: str, *program: str
) -> None:
    """Prepare this process as a rank, and run the program in its place.

    Args:
        variable: in which mpiexec tells the rank.
        records: the folder of the job's records. On another machine it may be the same one, one of that machine's
            own, or none.
        logs: the folder of the ranks' logs; empty for none.
        terminal: what root's standard output is to be; empty for what mpiexec gave it.
        error_terminal: likewise for its standard error.
        restart: how often the job was started before.
        program: what ``python -m mpi4py`` takes: a script, or ``-m`` and a module, and arguments.

    Ranks: each, before it is one.
    """
    rank = os.environ.get(variable, "0")
    _die_with_parent()
    # By default SIGUSR1 would end a rank that is not in a training just then: the training may end between the moment
    # at which the supervisor sees its handler, and that at which the signal arrives. distfit's handler replaces this.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    os.environ["DISTFIT_RESTART"] = restart
    if logs:
        # What a rank printed last before it was killed is what one wants to read. Where all write to one pipe, pieces
        # of their lines would be mixed.
        os.environ.setdefault("PYTHONUNBUFFERED", "1")
        os.makedirs(logs, exist_ok=True)  # another machine may have no such folder yet
        if rank != "0":  # root's output comes to the supervisor, which writes it down
            _write_to(os.path.join(logs, f"rank-{rank}.log"))
    if os.path.isdir(records):
        _leave_record(os.path.join(records, f"rank-{rank}"))
        os.environ["DISTFIT_COMPLETION_MARKER"] = os.path.join(records, "completed")
        if rank == "0":
            _show_on(terminal, 1)
            _show_on(error_terminal, 2)
    os.execv(sys.executable, [sys.executable, "-m", "mpi4py", *program])  # noqa: S606 - this is what it is for


def _die_with_parent() -> None:
    """Have the kernel end this process when its parent ends: Open MPI's ranks go on where mpiexec is killed."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("distfit: mpiexec ended before its ranks began")


def _write_to(log: str) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(file, 1)
    os.dup2(file, 2)


def _leave_record(record: str) -> None:
    os.environ["DISTFIT_RECORD"] = record
    with open(f"{record}.began", "w", encoding="ascii") as began:
        began.write(f"{os.getpid()} {os.uname().nodename}\n")


def _show_on(terminal: str, descriptor: int) -> None:
    if terminal:  # not as its controlling one: keys that interrupt are for the supervisor
        os.dup2(os.open(terminal, os.O_RDWR | os.O_NOCTTY), descriptor)


if __name__ == "__main__":
    become(*sys.argv[1:])
