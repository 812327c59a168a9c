"""Hydra, the mpiexec of MPICH, and of Intel MPI, which is made from it."""

import re
import signal
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

from distfit.launchers.runner import Death, Layout, Process, Runner

_MPICH = re.compile(r"=\s+PID (\d+) RUNNING AT (\S+)\n(?:.*\n)*?.*EXIT STRING: .*\(signal (\d+)\)")
# Of a rank on another machine it was seen to break down itself before it came to the second line.
_MPICH_AFAR = re.compile(r"=\s+PID (\d+) RUNNING AT (\S+)\n=\s+EXIT CODE: (9|11|15)\n")
_INTEL = re.compile(r"=\s+RANK (\d+) PID \d+ RUNNING AT .*\n=\s+KILLED BY SIGNAL: (\d+)")


class Hydra(Runner):
    """What both have in common."""

    __slots__ = ()

    @property
    def rank_variable(self) -> str:
        return "PMI_RANK"

    @property
    def is_called_by_name(self) -> bool:
        return True

    @classmethod
    @abstractmethod
    def recognises(cls, version: str) -> bool: ...

    @classmethod
    def serves(cls, library: str) -> bool:
        return "Open MPI" not in library  # of those that differ, the one that people have

    def arguments(self, layout: Layout) -> Sequence[str]:
        """It hands all variables on by itself, and binds no rank unless it is asked to."""
        starter = ("-launcher", "ssh") if layout.by_ssh else ()  # and not what a batch system has
        return (*(self.hosts(layout) if layout.hosts else ()), *starter, *self.binding(layout))

    @abstractmethod
    def hosts(self, layout: Layout) -> Sequence[str]:
        """Return what names the hosts, of which there is at least one, and their ranks."""

    @abstractmethod
    def binding(self, layout: Layout) -> Sequence[str]:
        """Return what binds its ranks, or leaves them free."""

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

    def hosts(self, layout: Layout) -> Sequence[str]:
        return ("-hosts", layout.host_list)

    def binding(self, layout: Layout) -> Sequence[str]:
        return () if layout.bind == "none" else ("-bind-to", layout.bind)

    def variables(self, layout: Layout, folder: Path | None) -> Mapping[str, str]:  # noqa: ARG002
        return {}

    def death(self, text: str, rank_of: Mapping[Process, int]) -> Death | None:
        """It names the process of the first rank that a signal killed, and no rank that ended by itself.

        It kills the others as soon as a rank's connection breaks: on a busy machine it was seen to name one of these.
        """
        killed = _MPICH.search(text) or _MPICH_AFAR.search(text)
        if not killed:
            return None
        process = Process(_short(killed[2]), int(killed[1]))
        ranks = [rank for (host, number), rank in rank_of.items() if (_short(host), number) == process]
        return Death(ranks[0] if ranks else None, signal=int(killed[3]))


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

    def hosts(self, layout: Layout) -> Sequence[str]:
        """It does not heed the number in ``name:2``, but fills each host's cores. A name may be there several times."""
        numbers = set(layout.hosts.values())
        if len(numbers) == 1:
            return ("-hosts", ",".join(layout.hosts), "-ppn", str(*numbers))
        names = [host for host, number in layout.hosts.items() for _ in range(number)]
        return ("-hosts", ",".join(names), "-ppn", "1")

    def binding(self, layout: Layout) -> Sequence[str]:  # noqa: ARG002
        return ()  # it reads variables

    def variables(self, layout: Layout, folder: Path | None) -> Mapping[str, str]:  # noqa: ARG002
        """By itself it would divide the cores among the ranks, two jobs of one machine getting the same."""
        if layout.bind == "none":
            return {"I_MPI_PIN": "0"}
        return {"I_MPI_PIN": "1", "I_MPI_PIN_DOMAIN": layout.bind}

    def death(self, text: str, rank_of: Mapping[Process, int]) -> Death | None:
        """It names all that signals killed, those too that it killed itself because another rank had ended."""
        killed = {int(rank): int(number) for rank, number in _INTEL.findall(text)}
        by_itself = [rank for rank, number in killed.items() if number != signal.SIGKILL]
        if by_itself:
            return Death(by_itself[0], signal=killed[by_itself[0]])
        if killed and len(killed) == len(rank_of):
            return Death(None, signal=signal.SIGKILL)
        return None  # the one that is not named ended first, by itself


def _short(host: str) -> str:
    return host.partition(".")[0]
