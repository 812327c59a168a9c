"""Finding the mpiexec that belongs to the MPI library which the ranks will load.

An mpiexec of another make starts N processes that each believe to be rank 0 of 1, or none.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from distfit._rank_variables import RANK_VARIABLES
from distfit.errors import LaunchError
from distfit.launchers.hydra import IntelMpi, Mpich
from distfit.launchers.open_mpi import OpenMpi
from distfit.launchers.plan import Make, Plan
from distfit.launchers.runner import Runner

RUNNERS: tuple[type[Runner], ...] = (IntelMpi, OpenMpi, Mpich)

_MAKES: Mapping[Make, type[Runner]] = {"intel": IntelMpi, "openmpi": OpenMpi, "mpich": Mpich}
_PATIENCE_S = 20.0
_INSTALL = "`pip install 'distfit-mpi[mpich]'` puts MPICH and its mpiexec beside Python"


def recognise(path: str, version: str) -> Runner:
    """Return the runner of the make that ``mpiexec --version`` names.

    Args:
        path: of mpiexec.
        version: what it printed.

    Raises:
        LaunchError: if it is none that is known here.

    Ranks: local.

    Example:
        >>> recognise("/usr/bin/mpiexec", "mpiexec (Open MPI) 5.0.11").make
        'Open MPI'
    """
    for kind in RUNNERS:
        if kind.recognises(version):
            return kind(path, version)
    said = version.strip().partition("\n")[0]
    raise LaunchError(
        f"{path} is of no make that is known here: it should say that it is of MPICH (Hydra), Open MPI or Intel MPI."
        f" `{path} --version` printed: {said!r}. Name another with --mpiexec, or {_INSTALL}"
    )


def choose(runners: Sequence[Runner], library: str) -> Runner:
    """Return the first runner that can start ranks with this library.

    Args:
        runners: those there are, the best first.
        library: what the MPI library says of itself.

    Raises:
        LaunchError: if there is none, or none for this library.

    Ranks: local.
    """
    if not runners:
        raise LaunchError(
            "no mpiexec was found, neither beside this Python nor on PATH. Load your site's MPI module, or name one"
            f" with --mpiexec; {_INSTALL}"
        )
    for runner in runners:
        if runner.serves(library):
            return runner
    found = ", ".join(f"{runner.path} ({runner.make})" for runner in runners)
    named = " ".join(library.partition("\n")[0].split())
    raise LaunchError(
        f"mpiexec and the MPI library are of different makes, so that each rank would train alone. Found: {found}. The"
        f" library that mpi4py loads: {named}. Name that library's own mpiexec with --mpiexec, or install one MPI"
        f" only: {_INSTALL}"
    )


class Launcher(NamedTuple):
    """What starts the ranks, and what they load.

    Attributes:
        runner: the mpiexec.
        library: what the MPI library says of itself.
    """

    runner: Runner
    library: str


def find(plan: Plan, environment: Mapping[str, str]) -> Launcher:
    """Return the mpiexec to use: the given one, or that of this Python's environment, or that of PATH.

    Args:
        plan: what is to be run.
        environment: of this process.

    Raises:
        LaunchError: if there is none, if it does not suit the library, or inside of another MPI job.

    Ranks: local; no rank itself. The library is asked in a process of its own, which starts no MPI.
    """
    inside = [name for name in RANK_VARIABLES if name in environment]
    if inside:
        raise LaunchError(
            f"`distfit run` starts the ranks itself, but is a rank already: {inside[0]} is set. Start it without"
            " mpiexec or srun"
        )
    paths = [plan.mpiexec] if plan.mpiexec else _candidates()
    runners = of_make(_recognised(paths), plan.mpi)
    library = _library()
    return Launcher(choose(runners, library), library)


def of_make(runners: Sequence[Runner], make: Make) -> list[Runner]:
    """Return those runners that are of the make which ``--mpi`` names.

    Raises:
        LaunchError: if there are runners, but none of this make.

    Ranks: local.

    Example:
        >>> of_make([Mpich("/usr/bin/mpiexec")], "mpich")[0].path
        '/usr/bin/mpiexec'
    """
    kinds = RUNNERS if make == "auto" else (_MAKES[make],)
    right = [runner for runner in runners if isinstance(runner, kinds)]
    if runners and not right:
        found = ", ".join(f"{runner.path} ({runner.make})" for runner in runners)
        raise LaunchError(
            f"there is no mpiexec of the MPI that --mpi {make} names. Found: {found}. Load its module, or name it"
            " with --mpiexec"
        )
    return right


def _recognised(paths: Sequence[str]) -> list[Runner]:
    """Return the runners of some paths. One that is broken, or unknown, matters only if there is no other."""
    runners: list[Runner] = []
    problems: list[LaunchError] = []
    for path in paths:
        try:
            runners.append(recognise(path, _version(path)))
        except LaunchError as error:
            problems.append(error)
    if problems and not runners:
        raise problems[0]
    return runners


def _candidates() -> list[str]:
    """Return those beside this Python, then those on PATH, where Debian has one of each make, by its name."""
    beside = Path(sys.executable).with_name("mpiexec")
    found = [str(beside)] if beside.exists() else []
    on_path = (
        shutil.which(name) for name in ("mpiexec", "mpiexec.mpich", "mpiexec.openmpi", "mpiexec.hydra")
    )
    return list(dict.fromkeys([*found, *(path for path in on_path if path is not None)]))


def _version(path: str) -> str:
    if shutil.which(path) is None:
        raise LaunchError(f"there is no program {path}, which --mpiexec names")
    return _said([path, "--version"], lambda text: f"`{path} --version` failed:\n{text}")


def _library() -> str:
    return _said(
        [sys.executable, "-m", "mpi4py", "--mpi-lib-version"],
        lambda text: f"the ranks could not load an MPI library; {_INSTALL}.\n{text}",
    ).strip()


def _said(command: Sequence[str], complaint: Callable[[str], str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - mpiexec or this Python
            command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LaunchError(complaint(str(error))) from error
    if done.returncode != 0:
        raise LaunchError(complaint((done.stdout + done.stderr).strip()))
    return done.stdout + done.stderr
