"""What a user wants to have run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from distfit.errors import LaunchError
from distfit.launchers.allocation import Allocation
from distfit.launchers.runner import Binding

Make = Literal["auto", "mpich", "openmpi", "intel"]


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
        mpi: the make of the one to find.
        allocation: where ranks may run. By default on this machine, as many as are wanted.
        bind: to what each rank is bound.
        settings: variables for the ranks, each ``NAME=VALUE``, or ``NAME`` for one that is set.

    Raises:
        LaunchError: for numbers that make no job, or a program that is not there.

    Ranks: local; the supervisor's.

    Example:
        >>> Plan(["-m", "package.train"], ranks=4, min_ranks=2).at_least
        2
    """

    program: Sequence[str]
    ranks: int
    max_restarts: int = 0
    min_ranks: int | None = None
    log_dir: Path | None = None
    mpiexec: str | None = None
    mpi: Make = "auto"
    allocation: Allocation = field(default_factory=Allocation)
    bind: Binding = "none"
    settings: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.at_least <= self.ranks:
            least = "" if self.min_ranks is None else f" --min-ranks {self.min_ranks}"
            raise LaunchError(
                f"a job has at least one rank, and --min-ranks is from 1 to -n. Received: -n {self.ranks}{least}"
            )
        if self.max_restarts < 0:
            raise LaunchError(f"--max-restarts is 0 or more. Received: {self.max_restarts}")
        if not self.program[0].startswith("-") and not Path(self.program[0]).exists():
            raise LaunchError(f"there is no program {self.program[0]} in {Path.cwd()}")
        places = self.allocation.total
        if places and self.at_least > places:
            raise LaunchError(
                f"there are places for {places} ranks, by {self.allocation.source}. Received: -n {self.ranks}. Say how"
                " many a host gets, as in host:4, or with --ranks-per-node"
            )

    @property
    def attempts(self) -> int:
        """How often the job is started at most."""
        return self.max_restarts + 1

    @property
    def at_least(self) -> int:
        """With how many ranks it is worth starting."""
        return self.ranks if self.min_ranks is None else self.min_ranks

    def make_log_folder(self, attempt: int) -> Path | None:
        """Make the folder of an attempt's logs, and return it; None where none are wanted.

        Args:
            attempt: its number, from 1 on.

        Raises:
            LaunchError: if it cannot be made.
        """
        if self.log_dir is None:
            return None
        folder = self.log_dir.absolute()
        if self.max_restarts:
            folder /= f"attempt-{attempt}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LaunchError(f"--log-dir {self.log_dir} cannot be made: {error}") from error
        return folder
