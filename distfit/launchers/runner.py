"""What starts the ranks: an MPI's mpiexec, with the arguments and habits of its make."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

Binding = Literal["none", "core", "socket"]


class Process(NamedTuple):
    """A rank's process.

    Attributes:
        host: the name that its machine has for itself.
        number: of the process there.
    """

    host: str
    number: int


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
class Layout:
    """Which ranks run where.

    Args:
        ranks: how many.
        cores: that the ranks of one machine may run on, of the machine that has fewest for each.
        crowd: how many ranks that machine has; None for all.
        hosts: how many ranks each host gets. Empty for this machine alone, and where mpiexec learns the hosts from the
            batch system.
        by_ssh: whether ranks of other hosts are started by ssh.
        bind: to what a rank is bound: to nothing, to a core of its own, or to a socket.
        forwarded: the names of the variables that ranks on other machines need.
    """

    ranks: int
    cores: int
    crowd: int | None = None
    hosts: Mapping[str, int] = field(default_factory=dict)
    by_ssh: bool = False
    bind: Binding = "none"
    forwarded: Sequence[str] = ()

    @property
    def is_crowded(self) -> bool:
        """Whether ranks have to share cores."""
        return (self.crowd or self.ranks) > self.cores

    @property
    def host_list(self) -> str:
        """The hosts as MPICH and Open MPI read them.

        Example:
            >>> Layout(ranks=3, cores=2, hosts={"node1": 2, "node2": 1}).host_list
            'node1:2,node2:1'
        """
        return ",".join(f"{host}:{number}" for host, number in self.hosts.items())


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

    @property
    @abstractmethod
    def is_called_by_name(self) -> bool:
        """Whether what it starts on other machines calls it back by the name of its own machine."""

    @classmethod
    @abstractmethod
    def recognises(cls, version: str) -> bool:
        """Say whether what ``mpiexec --version`` printed is of this make."""

    @classmethod
    @abstractmethod
    def serves(cls, library: str) -> bool:
        """Say whether ranks which load this MPI library, by its own words, can be started by this make."""

    @abstractmethod
    def arguments(self, layout: Layout) -> Sequence[str]:
        """Return what stands between ``mpiexec -n N`` and the program.

        Raises:
            LaunchError: if it cannot start ranks like that.
        """

    @abstractmethod
    def variables(self, layout: Layout, folder: Path | None) -> Mapping[str, str]:
        """Return variables that it, or its library, needs.

        Args:
            layout: of the ranks.
            folder: of this machine that goes with the job, for temporary files; None for the usual place.
        """

    @abstractmethod
    def passed_on(self, number: signal.Signals) -> signal.Signals:
        """Return the signal that asks ranks through it for what `number` asks for, and leaves them the time."""

    @abstractmethod
    def death(self, text: str, rank_of: Mapping[Process, int]) -> Death | None:
        """Read from what it printed which rank died.

        Args:
            text: the end of what it printed, in which output of ranks may stand, too.
            rank_of: ranks by their process.
        """

    def command(self, layout: Layout, program: Sequence[str]) -> list[str]:
        """Return the command that starts a program on some ranks.

        Args:
            layout: of the ranks.
            program: and its arguments.

        Raises:
            LaunchError: if it cannot start ranks like that.

        Ranks: local.

        Example:
            >>> from distfit.launchers.hydra import Mpich
            >>> mpich = Mpich("/usr/bin/mpiexec")
            >>> mpich.command(Layout(ranks=4, cores=2), ["python", "train.py"])
            ['/usr/bin/mpiexec', '-n', '4', 'python', 'train.py']
        """
        return [self.path, "-n", str(layout.ranks), *self.arguments(layout), *program]
