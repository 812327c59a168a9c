"""One attempt at a plan: what a job is given, and what is known when it is over."""

import os
import platform
import sys
import time
from pathlib import Path

from distfit.errors import LaunchError
from distfit.launchers.arrangement import Arrangement, arrange, others_of
from distfit.launchers.ending import Ending, cause_of
from distfit.launchers.finding import Launcher
from distfit.launchers.job import Job
from distfit.launchers.job_folder import job_folder
from distfit.launchers.mailbox import Mailbox
from distfit.launchers.output import Output, say, tail
from distfit.launchers.plan import Plan
from distfit.launchers.records import Records
from distfit.launchers.survey import Needs, Survey, bring_home, survey
from distfit.launchers.variables import chosen, forwarded

_RANK = str(Path(__file__).with_name("rank.py"))


def attempt(plan: Plan, number: int, launcher: Launcher, mailbox: Mailbox) -> Ending:
    """Start the job once, wait for its end, and return how it ended.

    Args:
        plan: what is to be run.
        number: of the attempt, from 1 on.
        launcher: that starts the ranks.
        mailbox: in which signals come.

    Raises:
        LaunchError: if hosts are not as they should be, there are not ranks enough, or their logs cannot be written.

    Ranks: local; the supervisor's main thread.
    """
    runner = launcher.runner
    logs = plan.make_log_folder(number)
    with job_folder() as folder:
        found = _look_around(plan, launcher, folder)
        arrangement = _arrange(plan, found, folder)
        ranks, records = arrangement.layout.ranks, Records(folder)
        with Output(logs / "rank-0.log" if logs else None) as output:
            command, variables = launch(
                plan, number, launcher, arrangement, folder=folder, logs=logs, terminals=output.terminals
            )
            began = time.monotonic()
            job = Job(command, variables, ranks, arrangement.here, runner, records, output)
            status = job.wait(mailbox)
            seconds = time.monotonic() - began
        gone = bring_home(found.cores, folder)
        death = runner.death(output.text, records.everywhere())
        others = [tail(logs / f"rank-{rank}.log") for rank in range(1, ranks)] if logs else []
        cause = cause_of(
            status,
            failure=records.failure(),
            death=death,
            joined=records.joined,
            completed=records.completed,
            output="\n".join([output.text, *others]),
            gone=gone,
            step_of_dead=job.steps.of(death.rank if death else None),
        )
        return Ending(seconds, status or int(cause is not None), cause, job.asked_by)


def _look_around(plan: Plan, launcher: Launcher, folder: Path) -> Survey:
    """Ask the other hosts what a job would find there, with the variables that it would have."""
    paths = [_RANK, str(Path.cwd())]
    if not plan.program[0].startswith("-"):
        paths.append(str(Path(plan.program[0]).absolute()))
    variables = {**os.environ, **chosen(plan.settings, os.environ)}
    kept = {name: variables[name] for name in forwarded(variables)}
    home = platform.node() if launcher.runner.is_called_by_name else None
    return survey(others_of(plan.allocation), Needs(launcher.library, paths, folder, kept, home))


def _arrange(plan: Plan, found: Survey, folder: Path) -> Arrangement:
    """Place the ranks, and say which hosts they have to do without."""
    try:
        arrangement = arrange(plan, found)
    except LaunchError:
        bring_home(found.cores, folder)  # nothing is left there
        raise
    for problem in found.gone.values():
        say(f"going on with {arrangement.layout.ranks} ranks: {problem}")
    return arrangement


def launch(
    plan: Plan,
    number: int,
    launcher: Launcher,
    arrangement: Arrangement,
    *,
    folder: Path | None,
    logs: Path | None = None,
    terminals: tuple[str, str] = ("", ""),
) -> tuple[list[str], dict[str, str]]:
    """Return mpiexec's command, and its environment.

    Args:
        plan: what is to be run.
        number: of the attempt, from 1 on.
        launcher: that starts the ranks.
        arrangement: of the ranks.
        folder: of the job's records; None for none.
        logs: the folder of the ranks' logs; None for none.
        terminals: what root's standard output and error are to be; empty for what mpiexec gives it.

    Raises:
        LaunchError: if the launcher cannot start ranks like that.

    Ranks: local.
    """
    runner, layout = launcher.runner, arrangement.layout
    become = [sys.executable, "-I", "-S", _RANK, runner.rank_variable, str(folder or ""), str(logs or "")]
    program = [*become, *terminals, str(number - 1), *plan.program]
    variables = runner.variables(layout, folder if arrangement.is_here else None)
    return runner.command(layout, program), {**variables, **arrangement.environment}
