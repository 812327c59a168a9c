"""One attempt at a plan: what a job is given, and what is known when it is over."""

import os
import platform
import sys
import time
from pathlib import Path

from distfit.launchers.ending import Ending, cause_of
from distfit.launchers.job import Job
from distfit.launchers.job_folder import job_folder
from distfit.launchers.mailbox import Mailbox
from distfit.launchers.output import Output, tail
from distfit.launchers.placement import place
from distfit.launchers.plan import Plan
from distfit.launchers.records import Records
from distfit.launchers.runner import Runner
from distfit.launchers.threads import blas_threads

_RANK = str(Path(__file__).with_name("rank.py"))


def attempt(plan: Plan, number: int, runner: Runner, mailbox: Mailbox) -> Ending:
    """Start the job once, wait for its end, and return how it ended.

    Args:
        plan: what is to be run.
        number: of the attempt, from 1 on.
        runner: whose mpiexec starts the ranks.
        mailbox: in which signals come.

    Raises:
        LaunchError: if there are not ranks enough, or their logs cannot be written.

    Ranks: local; the supervisor's main thread.
    """
    cores = len(os.sched_getaffinity(0))
    ranks = sum(place(plan.ranks, plan.at_least, {platform.node(): plan.ranks}).values())
    logs = plan.make_log_folder(number)
    with job_folder() as folder:
        records = Records(folder)
        with Output(logs / "rank-0.log" if logs else None) as output:
            become = [sys.executable, "-I", "-S", _RANK, runner.rank_variable, str(folder), str(logs or "")]
            program = [*become, *output.terminals, str(number - 1), *plan.program]
            variables = {**runner.variables(ranks, cores, folder), **blas_threads(ranks, cores, os.environ)}
            began = time.monotonic()
            command = runner.command(ranks, cores, program)
            job = Job(command, {**variables, **os.environ}, ranks, runner, records, output)
            status = job.wait(mailbox)
            seconds = time.monotonic() - began
        death = runner.death(output.text, records.processes())
        others = [tail(logs / f"rank-{rank}.log") for rank in range(1, ranks)] if logs else []
        cause = cause_of(
            status,
            failure=records.failure(),
            death=death,
            joined=records.joined,
            completed=records.completed,
            output="\n".join([output.text, *others]),
            step_of_dead=job.steps.of(death.rank if death else None),
        )
        return Ending(seconds, status or int(cause is not None), cause, job.asked_by)
