"""Leaving the program is an agreement too.

A rank that ends (by `sys.exit`, by an error that nobody caught, or simply at the end of its script) waits in MPI's
finalize for the others, which may wait for it in a collective: a job that hangs for ever. So before MPI's finalize,
which Python runs after all `atexit` handlers, each rank joins the small message once more, in the phase *leaving*. A
peer in any other phase learns who left, and raises.
"""

import atexit
import os
import sys
from collections.abc import Callable

from distfit.comm.agreement import Agreement
from distfit.comm.phase import Phase
from distfit.errors import RankLeft, RemoteError

_groups: dict[int, Callable[[], Agreement]] = {}
_process = os.getpid()


def register(group: int, agreement: Callable[[], Agreement]) -> None:
    """Leave this group, too, at the end of the process. Groups are left in the order in which they were made.

    Args:
        group: any number that names it.
        agreement: returns its agreement, which it may make only then: a rank that leaves without having worked with
            the others still has to tell those that want to.
    """
    if not _groups:
        atexit.register(leave)
    _groups[group] = agreement


def unregister(group: int) -> None:
    """Forget a group that all its ranks have closed together."""
    _groups.pop(group, None)


def leave() -> None:
    """Join all others in leaving, group by group; what was left already is not left again.

    Ranks: every rank, at its end; one small message a group.
    """
    if os.getpid() != _process:  # a forked child owns no communicator
        return
    sys.stdout.flush()
    error = getattr(sys, "last_value", None)  # what nobody caught, and Python has printed
    reason = f" after {type(error).__name__}" if error is not None else ""
    while _groups:
        agreement = _groups.pop(next(iter(_groups)))
        while not agreement().ended:
            try:
                agreement().agree(Phase.LEAVING, name=reason)
            except RemoteError:
                continue  # a rank failed while this one left; when it leaves, or wants to go on, this message ends
            except RankLeft as left:
                sys.stderr.write(f"distfit: {left}\n")
                sys.stderr.flush()
            break
