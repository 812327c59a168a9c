"""``python -m distfit run …``: starts a job of several ranks, and starts it again where it failed."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from distfit.errors import LaunchError

_DESCRIPTION = """
Starts a program on several ranks with this environment's mpiexec, and starts it again where it failed.
See docs/running.md for exit statuses, signals, and what is told.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "run",
        help="start a program on several ranks, and start it again where it failed",
        description=_DESCRIPTION,
        usage="%(prog)s [-n RANKS] [options] {train.py | -- -m MODULE} [its arguments]",
    )
    parser.add_argument(
        "-n",
        "--ranks",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="how many; default: one for each core",
    )
    parser.add_argument(
        "--max-restarts",
        type=int,
        default=0,
        metavar="N",
        help="start it again up to N times; default: %(default)s",
    )
    parser.add_argument(
        "--min-ranks", type=int, metavar="N", help="go on with as few as N where hosts are gone; default: all"
    )
    parser.add_argument(
        "--log-dir", type=Path, metavar="DIR", help="write what each rank prints to DIR/rank-N.log"
    )
    parser.add_argument(
        "--mpiexec", metavar="PATH", help="the one to use; default: the one of this Python's MPI"
    )
    parser.add_argument("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Run the command, and return the job's exit status; 2 where it could not be started."""
    from distfit.launchers.plan import Plan
    from distfit.launchers.supervisor import supervise

    program = options.program[1:] if options.program[:1] == ["--"] else options.program
    if not program:
        options.parser.error("name the program, as in: python -m distfit run -n 4 train.py")
    try:
        plan = Plan(
            program,
            ranks=options.ranks,
            max_restarts=options.max_restarts,
            min_ranks=options.min_ranks,
            log_dir=options.log_dir,
            mpiexec=options.mpiexec,
        )
        return supervise(plan)
    except LaunchError as error:
        sys.stderr.write(f"distfit: {error}\n")
        return 2
