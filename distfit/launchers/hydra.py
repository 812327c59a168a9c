"""Hydra, the mpiexec of MPICH, and of Intel MPI, which is made from it."""

import re
import signal
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import final

from distfit.launchers.runner import Death, Runner

# As in "PID 812 RUNNING AT node1", and Intel's "RANK 1 PID 812 RUNNING AT node1".
_PROCESS = re.compile(r"=\s+(?:RANK (?P<rank>\d+) )?PID (?P<pid>\d+) RUNNING AT ")
_SIGNAL = re.compile(r"(?:EXIT STRING: .*\(signal (\d+)\))|(?:=\s+KILL SIGNAL: (\d+))")


class Hydra(Runner):
    """What both have in common."""

    __slots__ = ()

    @property
    def rank_variable(self) -> str:
        return "PMI_RANK"

    @classmethod
    @abstractmethod
    def recognises(cls, version: str) -> bool: ...

    @classmethod
    def serves(cls, library: str) -> bool:
        return "Open MPI" not in library  # of those that differ, the one that people have

    def arguments(self, ranks: int, cores: int) -> Sequence[str]:  # noqa: ARG002
        return ()

    def variables(self, ranks: int, cores: int) -> Mapping[str, str]:  # noqa: ARG002
        return {}

    def passed_on(self, number: signal.Signals) -> signal.Signals:
        """It hands USR1, INT and TERM to the ranks, and waits for them."""
        return number

    def death(self, text: str, rank_of: Mapping[int, int]) -> Death | None:
        """It says this of a rank that a signal killed alone."""
        process = _PROCESS.search(text)
        killed = _SIGNAL.search(text, process.end()) if process else None
        if process is None or killed is None:
            return None
        rank = int(process["rank"]) if process["rank"] else rank_of.get(int(process["pid"]))
        return Death(rank, signal=int(killed[1] or killed[2]))


@final
class Mpich(Hydra):
    """MPICH's."""

    __slots__ = ()

    @property
    def make(self) -> str:
        return "MPICH"

    @classmethod
    def recognises(cls, version: str) -> bool:
        return "HYDRA" in version and "Intel" not in version


@final
class IntelMpi(Hydra):
    """Intel's."""

    __slots__ = ()

    @property
    def make(self) -> str:
        return "Intel MPI"

    @classmethod
    def recognises(cls, version: str) -> bool:
        return "Intel(R) MPI" in version
