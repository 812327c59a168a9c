"""``mpiexec -n 4 python -m distfit doctor``: whether the ranks of a job would train right, and at full speed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from distfit.errors import LaunchError

_DESCRIPTION = """
Run it as you would run a training: mpiexec -n 4 python -m distfit doctor. It compares what the ranks have, measures how
fast they are together, and says what is wrong or slow and what to do about it. Exit status 1 if anything is.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("doctor", help="check the ranks of a job", description=_DESCRIPTION)
    parser.add_argument("--folder", type=Path, metavar="DIR", help="for checkpoints: do all machines see it?")
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command, and return 0 if all is well, and 1 if not.

    Ranks: every rank together; root prints.
    """
    from distfit.comm import Communicator
    from distfit.doctor import examine, report

    try:
        comm = Communicator.world()
    except LaunchError as error:
        sys.stderr.write(f"WRONG: {error}\n")
        return 1
    diagnosis = examine(comm, options.folder)
    comm.print(json.dumps(diagnosis.as_dict(), indent=1) if options.json else report(diagnosis))
    return 0 if diagnosis.is_well else 1
