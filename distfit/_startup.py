"""What `import distfit` does besides naming its parts: it starts no MPI, and loads nothing."""

import atexit
import os
from pathlib import Path

from distfit._rank_variables import RANK_VARIABLES

_OWNER = "DISTFIT_RANK_PROCESS"


def check_alone() -> None:
    """Raise if PyPI's project `distfit`, which fits distributions, was installed into the same folder.

    This project's distribution is called distfit-mpi; both are imported as `distfit`, and pip does not mind.

    Raises:
        ImportError: naming the remedy.

    Ranks: local.
    """
    if Path(__file__).with_name("distfit.py").exists():
        raise ImportError(
            "two projects are installed in the folder distfit: this one (distfit-mpi), and PyPI's distfit, which fits"
            " probability distributions. Keep them in separate environments: pip uninstall distfit distfit-mpi, then"
            " pip install distfit-mpi"
        )


def leave_with_the_others() -> None:
    """See to it that a rank which ends before it ever worked with the others tells them.

    It may have failed while it read its data. The others then wait in the start of MPI for it, unless it starts MPI
    too, at its end, and joins the agreement in which all ranks leave: see `distfit.comm.leaving`.

    Ranks: local; those that a launcher started, and no process that one of them starts.
    """
    if not any(name in os.environ for name in RANK_VARIABLES):
        return
    if os.environ.setdefault(_OWNER, str(os.getpid())) == str(os.getpid()):
        atexit.register(_leave)


def _leave() -> None:
    if os.environ[_OWNER] == str(os.getpid()):  # and not a forked child
        from distfit.comm import leaving
        from distfit.comm.communicator import Communicator

        Communicator.world()
        leaving.leave()
