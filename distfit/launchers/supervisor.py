"""Supervision: a job is started, waited for, and started again where it failed."""

import os
import shlex
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from distfit.errors import LaunchError
from distfit.launchers.arrangement import arrange
from distfit.launchers.attempt import attempt, launch
from distfit.launchers.ending import Ending
from distfit.launchers.finding import find
from distfit.launchers.job_folder import remove_abandoned
from distfit.launchers.mailbox import Mailbox
from distfit.launchers.output import say
from distfit.launchers.plan import Plan
from distfit.launchers.restart import Verdict, verdict, wait_s
from distfit.launchers.survey import Survey

_MARKER = "DISTFIT_COMPLETION_MARKER"
_BEGAN = "DISTFIT_BEGAN"
"""Tells the ranks when the first attempt began, in seconds of the Unix epoch: a limit of time is for all of them."""


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
    launcher = find(plan, os.environ)
    remove_abandoned()
    os.environ.setdefault(_BEGAN, f"{time.time():.0f}")
    endings: list[Ending] = []
    follows = Verdict.AGAIN
    reason = ""
    with Mailbox() as mailbox:
        while follows is Verdict.AGAIN:
            try:
                endings.append(attempt(plan, len(endings) + 1, launcher, mailbox))
            except LaunchError as error:
                if not endings:
                    raise
                reason = f"it could not be:\n{error}"  # too many hosts are gone, as a rule
                break
            follows = verdict(endings, plan.max_restarts)
            if follows is Verdict.AGAIN and _is_stopped_before_the_next(plan, endings, mailbox):
                follows = Verdict.ASKED
    if len(endings) > 1 or endings[-1].cause is not None:
        _tell(plan, endings, reason or ("" if follows is Verdict.OVER else follows.value))
    if endings[-1].status == 0 and _MARKER in os.environ:
        Path(os.environ[_MARKER]).write_text("all ranks left in order\n")
    return endings[-1].status


def dry_run(plan: Plan) -> str:
    """Return the command that would start the job, as one types it, without what supervision adds.

    Hosts are not asked: they are taken to have as many cores as this machine.

    Args:
        plan: what is to be run.

    Raises:
        LaunchError: if it could not be started.

    Ranks: local; no rank itself.
    """
    launcher = find(plan, os.environ)
    command, variables = launch(plan, 1, launcher, arrange(plan, Survey()), folder=None, logs=plan.log_dir)
    added = (f"{name}={value}" for name, value in variables.items() if os.environ.get(name) != value)
    return shlex.join([*added, *command])


def _is_stopped_before_the_next(plan: Plan, endings: Sequence[Ending], mailbox: Mailbox) -> bool:
    """Wait until the next attempt is due, and say whether a signal came meanwhile that asks for none."""
    pause_s = wait_s(len(endings))
    say(f"the job {endings[-1]}; attempt {len(endings) + 1} of {plan.attempts} starts in {pause_s:g} s")
    due = time.monotonic() + pause_s
    while (left := due - time.monotonic()) > 0:
        mailbox.wait(left)
        if any(number != signal.SIGWINCH for number in mailbox.take()):
            return True
    return False


def _tell(plan: Plan, endings: Sequence[Ending], reason: str) -> None:
    """Say what happened: a line for each attempt, and why there is no other if there could have been."""
    if not plan.max_restarts:
        say(f"the job {endings[-1]}")
        return
    for number, ending in enumerate(endings, start=1):
        say(f"attempt {number} of {plan.attempts} {ending}")
    if reason:
        say(f"it is not started again: {reason}")
