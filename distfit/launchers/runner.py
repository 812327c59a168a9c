"""What starts the ranks: an MPI's mpiexec, with the arguments and habits of its make."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Death:
    """What a launcher says of the rank whose end ended the job.

    Attributes:
        rank: which; None where it does not say.
        signal: that killed it; None if it ended by itself.
        status: with which it ended by itself; None where that is not said, as of one that did not leave MPI.
    """

    rank: int | None
    signal: int | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Runner(ABC):
    """An mpiexec.

    Args:
        path: of it.
        version: what it says of itself.
    """

    path: str
    version: str = ""

    @property
    @abstractmethod
    def make(self) -> str:
        """The MPI that it belongs to, as people call it."""

    @property
    @abstractmethod
    def rank_variable(self) -> str:
        """The variable in which it tells each process its rank."""

    @classmethod
    @abstractmethod
    def recognises(cls, version: str) -> bool:
        """Say whether what ``mpiexec --version`` printed is of this make."""

    @classmethod
    @abstractmethod
    def serves(cls, library: str) -> bool:
        """Say whether ranks which load this MPI library, by its own words, can be started by this make."""

    @abstractmethod
    def arguments(self, ranks: int, cores: int) -> Sequence[str]:
        """Return what stands between ``mpiexec`` and the program."""

    @abstractmethod
    def variables(self, ranks: int, cores: int, folder: Path) -> Mapping[str, str]:
        """Return variables that it, or its library, needs on this machine.

        Args:
            ranks: how many.
            cores: that they may run on.
            folder: that goes with the job, for temporary files.
        """

    @abstractmethod
    def passed_on(self, number: signal.Signals) -> signal.Signals:
        """Return the signal that asks ranks through it for what `number` asks for, and leaves them the time."""

    @abstractmethod
    def death(self, text: str, rank_of: Mapping[int, int]) -> Death | None:
        """Read from what it printed which rank died.

        Args:
            text: the end of what it printed, in which output of ranks may stand, too.
            rank_of: ranks by the number of their process.
        """

    def command(self, ranks: int, cores: int, program: Sequence[str]) -> list[str]:
        """Return the command that starts a program on some ranks.

        Args:
            ranks: how many.
            cores: of this machine, that they may run on.
            program: and its arguments.

        Ranks: local.

        Example:
            >>> from distfit.launchers.hydra import Mpich
            >>> Mpich("/usr/bin/mpiexec").command(4, 2, ["python", "train.py"])
            ['/usr/bin/mpiexec', '-n', '4', 'python', 'train.py']
        """
        return [self.path, "-n", str(ranks), *self.arguments(ranks, cores), *program]
