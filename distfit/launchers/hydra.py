"""Hydra, the mpiexec of MPICH, and of Intel MPI, which is made from it."""

import re
import signal
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

from distfit.launchers.runner import Death, Runner

_MPICH = re.compile(r"=\s+PID (\d+) RUNNING AT .*\n(?:.*\n)*?.*EXIT STRING: .*\(signal (\d+)\)")
_INTEL = re.compile(r"=\s+RANK (\d+) PID \d+ RUNNING AT .*\n=\s+KILLED BY SIGNAL: (\d+)")


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

    def variables(self, ranks: int, cores: int, folder: Path) -> Mapping[str, str]:  # noqa: ARG002
        return {}

    def passed_on(self, number: signal.Signals) -> signal.Signals:
        """It hands USR1, INT and TERM to the ranks, and waits for them."""
        return number


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

    def death(self, text: str, rank_of: Mapping[int, int]) -> Death | None:
        """It names the process of the first rank that a signal killed, and no rank that ended by itself."""
        killed = _MPICH.search(text)
        return Death(rank_of.get(int(killed[1])), signal=int(killed[2])) if killed else None


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

    def death(self, text: str, rank_of: Mapping[int, int]) -> Death | None:
        """It names all that signals killed, those too that it killed itself because another rank had ended."""
        killed = {int(rank): int(number) for rank, number in _INTEL.findall(text)}
        by_itself = [rank for rank, number in killed.items() if number != signal.SIGKILL]
        if by_itself:
            return Death(by_itself[0], signal=killed[by_itself[0]])
        if killed and len(killed) == len(rank_of):
            return Death(None, signal=signal.SIGKILL)
        return None  # the one that is not named ended first, by itself
