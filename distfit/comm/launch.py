"""Whether the job was started as it was meant: never N lonely trainings that each believe to be alone."""

import faulthandler
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from distfit._rank_variables import RANK_VARIABLES
from distfit.comm.patience import patience
from distfit.errors import LaunchError

# Set by launchers for each of their processes. SLURM_NTASKS is not among them: a plain `python` in a batch shell sees
# it too.
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
_SLURM_STEP_SIZE = "SLURM_STEP_NUM_TASKS"


def launcher_size(environment: Mapping[str, str] = os.environ) -> int | None:
    """Return how many processes the launcher says it started, or None where it does not say.

    Raises:
        LaunchError: if what it says is no number.
    """
    names = [name for name in _SIZES if name in environment]
    if not names and not any(name in environment for name in RANK_VARIABLES):
        names = [_SLURM_STEP_SIZE] if _SLURM_STEP_SIZE in environment else []
    if not names:
        return None
    try:
        return int(environment[names[0]])
    except ValueError:
        raise LaunchError(f"{names[0]} has to be a number. Received: {environment[names[0]]!r}") from None


def launched(environment: Mapping[str, str] = os.environ) -> bool:
    """Say whether an MPI launcher started this process."""
    return launcher_size(environment) is not None or any(name in environment for name in RANK_VARIABLES)


def check_world(size: int, environment: Mapping[str, str] = os.environ) -> None:
    """Compare the size of MPI's world with what the launcher started.

    Raises:
        LaunchError: if they differ, as when the launcher is of another MPI than the library.
    """
    expected = launcher_size(environment)
    rank = environment.get("PALS_RANKID", "0")
    if expected is None and rank.isdigit() and int(rank) >= size:
        expected = int(rank) + 1
    if expected is not None and expected != size:
        raise LaunchError(
            f"the launcher started {expected} processes, but MPI's world has {size}: each would train a model of its"
            " own. The launcher and the MPI library that mpi4py loads are of different makes. Start with the mpiexec"
            " that came with that library (for a PyPI wheel: the one in the environment's bin folder); under Slurm"
            " with MPICH: srun --mpi=pmi2"
        )


def no_mpi(error: Exception, environment: Mapping[str, str] = os.environ) -> None:
    """Raise if a launcher started this process though MPI cannot be loaded; return where one process is meant.

    Raises:
        LaunchError: naming the remedy.
    """
    if not launched(environment):
        return
    raise LaunchError(
        "this process was started by an MPI launcher, but the MPI library cannot be loaded, so that each process would"
        f" train alone ({type(error).__name__}: {error}). Install one: `pip install 'distfit-mpi[mpich]'`, or load your"
        " site's MPI module and `pip install mpi4py`"
    ) from error


@contextmanager
def deadline() -> Iterator[None]:
    """End this process if the block, in which MPI starts, takes longer than ``DISTFIT_TIMEOUT``.

    MPI's start waits for all ranks, and for ever for one that ended before. It waits with the interpreter locked: no
    thread of Python's could notice, but that of `faulthandler` can, which prints the stack besides.

    Ranks: local; those that a launcher started.
    """
    if not launched() or not patience.timeout:
        yield
        return
    faulthandler.dump_traceback_later(patience.timeout, exit=True, file=sys.__stderr__ or 2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
