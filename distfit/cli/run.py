"""``python -m distfit run …``: starts a job of several ranks, and starts it again where it failed."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from distfit.errors import LaunchError

if TYPE_CHECKING:
    from distfit.launchers.allocation import Allocation

_DESCRIPTION = """
Starts a program on several ranks with this environment's mpiexec, and starts it again where it failed. Without hosts it
takes those of the batch job in which it runs, and else this machine. See docs/running.md for exit statuses, signals,
and what is told.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "run",
        help="start a program on several ranks, and start it again where it failed",
        description=_DESCRIPTION,
        usage="%(prog)s [-n RANKS] [options] {train.py | -- -m MODULE} [its arguments]",
    )
    add = parser.add_argument
    add(
        "-n",
        "--ranks",
        type=int,
        help="how many; default: as many as there are places, or cores of this machine",
    )
    hosts = parser.add_mutually_exclusive_group()
    hosts.add_argument("--hosts", metavar="A:8,B:8", help="the hosts, and how many ranks each gets")
    hosts.add_argument(
        "--hostfile", type=Path, metavar="FILE", help="the same, a host a line: `a:8` or `a slots=8`"
    )
    add(
        "--ranks-per-node", type=int, metavar="N", help="how many ranks each host gets, whatever else is said"
    )
    add("--bind", choices=("none", "core", "socket"), default="none", help="to what; default: %(default)s")
    add(
        "--env",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="a variable for all ranks; may be repeated",
    )
    add(
        "--max-restarts",
        type=int,
        default=0,
        metavar="N",
        help="start it again up to N times; default: %(default)s",
    )
    add(
        "--min-ranks", type=int, metavar="N", help="go on with as few as N where hosts are gone; default: all"
    )
    add("--log-dir", type=Path, metavar="DIR", help="write what each rank prints to DIR/rank-N.log")
    add(
        "--mpi",
        choices=("auto", "mpich", "openmpi", "intel"),
        default="auto",
        help="whose mpiexec to look for",
    )
    add("--mpiexec", metavar="PATH", help="the one to use; default: the one of this Python's MPI")
    add("--dry-run", action="store_true", help="print the command, and start nothing")
    add("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Run the command, and return the job's exit status; 2 where it could not be started."""
    from distfit.launchers.plan import Plan
    from distfit.launchers.supervisor import dry_run, supervise

    program = options.program[1:] if options.program[:1] == ["--"] else options.program
    if not program:
        options.parser.error("name the program, as in: python -m distfit run -n 4 train.py")
    try:
        allocation = _allocation(options)
        plan = Plan(
            program,
            ranks=_ranks(options, allocation),
            max_restarts=options.max_restarts,
            min_ranks=options.min_ranks,
            log_dir=options.log_dir,
            mpiexec=options.mpiexec,
            mpi=options.mpi,
            allocation=allocation,
            bind=options.bind,
            settings=options.env,
        )
        if options.dry_run:
            sys.stdout.write(f"{dry_run(plan)}\n")
            return 0
        return supervise(plan)
    except LaunchError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"distfit: {line}\n")
        return 2


def _allocation(options: argparse.Namespace) -> Allocation:
    """Return the places that the options name, or else the batch job; without either, this machine."""
    from distfit.launchers.allocation import Allocation
    from distfit.launchers.batch import batch_job
    from distfit.launchers.hosts import parse_hosts, read_hostfile

    if options.hosts is not None:
        named, source = parse_hosts(options.hosts), "--hosts"
    elif options.hostfile is not None:
        named, source = read_hostfile(options.hostfile), str(options.hostfile)
    else:
        return (batch_job(os.environ) or Allocation()).with_ranks_per_node(options.ranks_per_node)
    return Allocation(named, by_ssh=True, source=source).with_ranks_per_node(options.ranks_per_node)


def _ranks(options: argparse.Namespace, allocation: Allocation) -> int:
    wanted: int | None = options.ranks
    if wanted is not None:
        return wanted
    return allocation.total or len(os.sched_getaffinity(0))
