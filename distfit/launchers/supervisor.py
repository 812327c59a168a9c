"""Supervision: a job is started, waited for, and started again where it failed."""

import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distfit.errors import LaunchError
from distfit.launchers.ending import Ending, cause_of
from distfit.launchers.finding import find
from distfit.launchers.job import Job
from distfit.launchers.mailbox import Mailbox
from distfit.launchers.output import Output, tail
from distfit.launchers.placement import place
from distfit.launchers.records import Records
from distfit.launchers.restart import Verdict, verdict, wait_s
from distfit.launchers.runner import Runner
from distfit.launchers.threads import blas_threads

_MARKER = "DISTFIT_COMPLETION_MARKER"
_RANK = str(Path(__file__).with_name("rank.py"))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run, and how.

    Args:
        program: a script, or ``-m`` and a module, and its arguments.
        ranks: how many are wanted.
        max_restarts: how often the job may be started again.
        min_ranks: with how many it may go on where hosts are gone; None for all.
        log_dir: the folder of the ranks' logs; None for none.
        mpiexec: the path of one; None to find it.

    Raises:
        LaunchError: for numbers that make no job, or a program that is not there.
    """

    program: Sequence[str]
    ranks: int
    max_restarts: int = 0
    min_ranks: int | None = None
    log_dir: Path | None = None
    mpiexec: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= (self.min_ranks or self.ranks) <= self.ranks:
            raise LaunchError(
                f"a job has at least one rank, and --min-ranks is at most -n. Received: -n {self.ranks}"
                + (f" --min-ranks {self.min_ranks}" if self.min_ranks is not None else "")
            )
        if not self.program[0].startswith("-") and not Path(self.program[0]).exists():
            raise LaunchError(f"there is no program {self.program[0]} in {Path.cwd()}")
        if self.max_restarts < 0:
            raise LaunchError(f"--max-restarts is 0 or more. Received: {self.max_restarts}")


def supervise(plan: Plan) -> int:
    """Run a job to its end, with as many attempts as that takes and the plan allows.

    Returns:
        The exit status of the last attempt: 0 only if the ranks left the program together.

    Raises:
        LaunchError: if it cannot be started.

    Ranks: local; no rank itself.
    """
    runner = find(plan.mpiexec, os.environ)
    endings: list[Ending] = []
    with Mailbox() as mailbox:
        while True:
            endings.append(_attempt(plan, runner, len(endings), mailbox))
            follows = verdict(endings, plan.max_restarts)
            if follows is Verdict.AGAIN and not _told_to_end(mailbox, plan, endings):
                continue
            break
    if len(endings) > 1 or endings[-1].cause is not None:
        _tell(plan, endings, follows)
    if endings[-1].status == 0 and _MARKER in os.environ:
        Path(os.environ[_MARKER]).write_text("all ranks left in order\n")
    return endings[-1].status


def _attempt(plan: Plan, runner: Runner, number: int, mailbox: Mailbox) -> Ending:
    """Start the job once, and wait for its end."""
    cores = len(os.sched_getaffinity(0))
    ranks = sum(place(plan.ranks, plan.min_ranks or plan.ranks, {platform.node(): plan.ranks}).values())
    logs = _folder_of_logs(plan, number)
    folder = Path(tempfile.mkdtemp(prefix="distfit-"))
    try:
        records = Records(folder)
        with Output(logs / "rank-0.log" if logs else None) as output:
            become = [
                sys.executable, "-I", "-S", _RANK,
                runner.rank_variable, str(folder), str(logs or ""), *output.terminals, str(number),
            ]  # fmt: skip
            environment = {
                **os.environ,
                **runner.variables(ranks, cores),
                **blas_threads(ranks, cores, os.environ),
            }
            began = time.monotonic()
            job = Job(
                runner.command(ranks, cores, [*become, *plan.program]),
                environment,
                ranks,
                runner,
                records,
                output,
            )
            status = job.wait(mailbox)
            seconds = time.monotonic() - began
        death = runner.death(output.text, records.processes())
        cause = cause_of(
            status,
            failure=records.failure(),
            death=death,
            joined=records.joined,
            completed=records.completed,
            output="\n".join(
                [output.text, *(tail(logs / f"rank-{rank}.log") for rank in range(1, ranks) if logs)]
            ),
            step_of_dead=job.steps.of(death.rank if death else None),
        )
        return Ending(seconds, status or int(cause is not None), cause, job.asked_by)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _folder_of_logs(plan: Plan, number: int) -> Path | None:
    if plan.log_dir is None:
        return None
    folder = plan.log_dir.absolute() / (f"attempt-{number + 1}" if plan.max_restarts else "")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LaunchError(f"--log-dir {plan.log_dir} cannot be made: {error}") from error
    return folder


def _told_to_end(mailbox: Mailbox, plan: Plan, endings: Sequence[Ending]) -> bool:
    """Wait until the next attempt is due, and say whether a signal came that asks for none."""
    pause_s = wait_s(len(endings))
    _say(
        f"the job {endings[-1]}; attempt {len(endings) + 1} of {plan.max_restarts + 1} starts in {pause_s:g} s"
    )
    due = time.monotonic() + pause_s
    while (left := due - time.monotonic()) > 0:
        mailbox.wait(left)
        if any(number != signal.SIGWINCH for number in mailbox.take()):
            return True
    return False


def _tell(plan: Plan, endings: Sequence[Ending], follows: Verdict) -> None:
    """Say what happened: a line for each attempt, and one why there is no further one."""
    for number, ending in enumerate(endings, start=1):
        _say(
            f"attempt {number} of {plan.max_restarts + 1} {ending}"
            if plan.max_restarts
            else f"the job {ending}"
        )
    if follows is Verdict.REPEATED:
        _say("it is not started again: it has failed twice at the same step with the same error")
    elif follows is Verdict.ASKED or follows is Verdict.AGAIN:
        _say("it is not started again: a signal asked it to end")
    elif follows is Verdict.SPENT and plan.max_restarts:
        _say(f"it is not started again: --max-restarts {plan.max_restarts}")


def _say(text: str) -> None:
    sys.stderr.write(f"distfit: {text}\n")
    sys.stderr.flush()
