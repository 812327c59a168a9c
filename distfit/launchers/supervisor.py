"""Supervision: a job is started, waited for, and started again where it failed."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from distfit.launchers.attempt import attempt
from distfit.launchers.ending import Ending
from distfit.launchers.finding import find
from distfit.launchers.job_folder import remove_abandoned
from distfit.launchers.mailbox import Mailbox
from distfit.launchers.plan import Plan
from distfit.launchers.restart import Verdict, verdict, wait_s

_MARKER = "DISTFIT_COMPLETION_MARKER"


def supervise(plan: Plan) -> int:
    """Run a job to its end, with as many attempts as that takes and the plan allows.

    Args:
        plan: what is to be run.

    Returns:
        The exit status of the last attempt: 0 only if the ranks left the program together.

    Raises:
        LaunchError: if it cannot be started.

    Ranks: local; no rank itself. The main thread, whose signals it takes.
    """
    runner = find(plan.mpiexec, os.environ)
    remove_abandoned()
    endings: list[Ending] = []
    follows = Verdict.AGAIN
    with Mailbox() as mailbox:
        while follows is Verdict.AGAIN:
            endings.append(attempt(plan, len(endings) + 1, runner, mailbox))
            follows = verdict(endings, plan.max_restarts)
            if follows is Verdict.AGAIN and _is_stopped_before_the_next(plan, endings, mailbox):
                follows = Verdict.ASKED
    if len(endings) > 1 or endings[-1].cause is not None:
        _tell(plan, endings, follows)
    if endings[-1].status == 0 and _MARKER in os.environ:
        Path(os.environ[_MARKER]).write_text("all ranks left in order\n")
    return endings[-1].status


def _is_stopped_before_the_next(plan: Plan, endings: Sequence[Ending], mailbox: Mailbox) -> bool:
    """Wait until the next attempt is due, and say whether a signal came meanwhile that asks for none."""
    pause_s = wait_s(len(endings))
    _say(f"the job {endings[-1]}; attempt {len(endings) + 1} of {plan.attempts} starts in {pause_s:g} s")
    due = time.monotonic() + pause_s
    while (left := due - time.monotonic()) > 0:
        mailbox.wait(left)
        if any(number != signal.SIGWINCH for number in mailbox.take()):
            return True
    return False


def _tell(plan: Plan, endings: Sequence[Ending], follows: Verdict) -> None:
    """Say what happened: a line for each attempt, and one if there could have been another."""
    if not plan.max_restarts:
        _say(f"the job {endings[-1]}")
        return
    for number, ending in enumerate(endings, start=1):
        _say(f"attempt {number} of {plan.attempts} {ending}")
    if follows is not Verdict.OVER:
        _say(f"it is not started again: {follows.value}")


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone
        sys.stderr.write(f"distfit: {text}\n")
        sys.stderr.flush()
