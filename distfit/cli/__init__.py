"""``python -m distfit …``: parses the command line, and calls the others."""

import argparse
from collections.abc import Sequence

from distfit.cli import checkpoint, doctor, run

_DESCRIPTION = "Data-parallel training on MPI ranks."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status.

    Args:
        arguments: of the command line. Defaults to those of the process.

    Ranks: local; one process, which is no rank itself.
    """
    parser = argparse.ArgumentParser(prog="python -m distfit", description=_DESCRIPTION)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (run, doctor, checkpoint):
        module.register(commands)
    options = parser.parse_args(arguments)
    status: int = options.run(options)
    return status
