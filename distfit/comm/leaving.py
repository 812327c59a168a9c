"""Leaving the program is an agreement too.

A rank that ends (by `sys.exit`, by an error that nobody caught, or simply at the end of its script) waits in MPI's
finalize for the others, which may wait for it in a collective: a job that hangs for ever. So before MPI's finalize,
which Python runs after all `atexit` handlers, each rank joins the small message once more, in the phase *leaving*. A
peer in any other phase learns who left, and raises.

After an error that nobody caught this has a deadline. The others may never come to a message of distfit's: they may be
in a loop of their own, or in a collective of MPI that waits for this rank. Then the job is aborted.
"""

import atexit
import os
import signal
import sys
from pathlib import Path
from typing import Protocol

import numpy as np

from distfit.comm import failure_record, whole_tracebacks
from distfit.comm.agreement import Agreement
from distfit.comm.phase import Phase
from distfit.errors import RankLeft, RemoteError

MARKER = "DISTFIT_COMPLETION_MARKER"
"""Names the file that root writes when all ranks have left in order. A launcher's exit status can lie; this cannot."""

_PATIENCE_S = 5


class Group(Protocol):
    """What can be left: a communicator."""

    rank: int
    host: str

    @property
    def agreement(self) -> Agreement:
        """Its small messages. They may be made only now: a rank that never worked with the others has to tell them."""


_groups: dict[int, Group] = {}
_process = os.getpid()


def register(group: Group) -> None:
    """Leave this group, too, at the end of the process. Groups are left in the order in which they were made."""
    if not _groups:
        atexit.register(leave)
        whole_tracebacks.install()
        failure_record.keep(_groups, uncaught)
    _groups[id(group)] = group


def unregister(group: Group) -> None:
    """Forget a group that all its ranks have closed together."""
    _groups.pop(id(group), None)


def leave() -> None:
    """Join all others in leaving, group by group; what was left already is not left again.

    Ranks: every rank, at its end; one small message a group.
    """
    if os.getpid() != _process or not _groups:  # a forked child owns no communicator
        return
    sys.stdout.flush()
    error = uncaught()
    first = next(iter(_groups.values()))
    if error is not None:
        _announce(error, first)
    in_order = True
    while _groups:
        in_order &= _leave(_groups.pop(next(iter(_groups))).agreement, error)
    signal.alarm(0)
    if in_order and first.rank == 0 and MARKER in os.environ:
        Path(os.environ[MARKER]).write_text("all ranks left in order\n")


def uncaught() -> BaseException | None:
    """Return the error with which the program ends, which Python has printed; None if there is none.

    In an interactive interpreter an error ends a line and not the program.
    """
    interactive = hasattr(sys, "ps1") or sys.flags.interactive
    return None if interactive else getattr(sys, "last_value", None)


def _announce(error: BaseException, group: Group) -> None:
    """Say who ends with what, and set the deadline. SIGALRM ends the process even where it waits within MPI."""
    if not isinstance(error, RemoteError):  # that was said where it was raised
        sys.stderr.write(
            f"distfit: rank {group.rank} on {group.host} ends with a {type(error).__name__}, and the job with it: as"
            f" soon as the other ranks want to work together, or in {_PATIENCE_S} s\n"
        )
        sys.stderr.flush()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_PATIENCE_S)


def _leave(agreement: Agreement, error: BaseException | None) -> bool:
    """Leave one group, and say whether all its ranks did so in order."""
    reason = f" after {type(error).__name__}" if error is not None else ""
    while not agreement.ended:
        try:
            failed = agreement.agree(Phase.LEAVING, np.array([float(error is not None)]), name=reason).sums
        except RemoteError:
            continue  # a rank failed while this one left; when it leaves, or wants to go on, this message ends
        except RankLeft as left:
            sys.stderr.write(f"distfit: {left}\n")
            sys.stderr.flush()
            return False
        return not failed.any()
    return False
