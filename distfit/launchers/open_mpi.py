"""Open MPI's mpiexec: prterun since version 5, orterun before."""

import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

from distfit.launchers.runner import Death, Layout, Process, Runner

_KILLED = re.compile(r"process rank (\d+) with PID \d+ on node \S+ exited on\s+signal (\d+)")
_LEFT = re.compile(r"process rank (\d+) with PID \d+ on node \S+ exiting\s+improperly")
# Told by a rank that is linked with one that is gone, and often before mpiexec knows.
_PEER = re.compile(r"peer process has unexpectedly disconnected(?:.*\n)*?\s+Peer host:\s+(\S+)")
# Likewise, of a connection that broke: told by the rank that then aborts the job, which is what mpiexec tells.
_CLOSED = re.compile(r"An error occurred in Socket closed\n.*reported by process \[\d+,(\d+)\]")
_ENDED = re.compile(r"Process name:\s+\[.*,\s*(\d+)\]\s+Exit code:\s+(\d+)")


@final
class OpenMpi(Runner):
    """Open MPI's."""

    __slots__ = ()

    @property
    def make(self) -> str:
        return "Open MPI"

    @property
    def rank_variable(self) -> str:
        return "OMPI_COMM_WORLD_RANK"

    @property
    def is_called_by_name(self) -> bool:
        return False  # but by its address

    @classmethod
    def recognises(cls, version: str) -> bool:
        return any(name in version for name in ("Open MPI", "OpenRTE", "PRRTE"))

    @classmethod
    def serves(cls, library: str) -> bool:
        return not any(name in library for name in ("MPICH", "Intel(R) MPI"))

    def arguments(self, layout: Layout) -> Sequence[str]:
        """It takes cores for places, would bind a rank with all its threads to one, and hands no variables on."""
        hosts = ("--host", layout.host_list) if layout.hosts else ()
        crowded = ("--oversubscribe",) if layout.is_crowded and not layout.hosts else ()
        forwarded = [word for name in layout.forwarded for word in ("-x", name)]
        return (*hosts, "--bind-to", layout.bind, *crowded, *forwarded)

    def variables(self, layout: Layout, folder: Path | None) -> Mapping[str, str]:
        """It refuses root, leaves its files where it is killed, and has ranks that wait keep their core from others."""
        found: dict[str, str] = {}
        if folder is not None:
            # Version 5 reads the first, version 4 the second.
            found |= dict.fromkeys(
                ("PRTE_MCA_prte_local_tmpdir_base", "OMPI_MCA_orte_tmpdir_base"), str(folder)
            )
        if os.geteuid() == 0:
            found |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        if layout.is_crowded:
            found["OMPI_MCA_mpi_yield_when_idle"] = "1"
        return found

    def passed_on(self, number: signal.Signals) -> signal.Signals:
        """Half a second behind a TERM or INT it kills all ranks, in the midst of a checkpoint; USR1 it hands on."""
        return signal.SIGUSR1 if number == signal.SIGTERM else number

    def death(self, text: str, rank_of: Mapping[Process, int]) -> Death | None:
        if killed := _KILLED.search(text):
            return Death(int(killed[1]), signal=int(killed[2]))
        if peer := _PEER.search(text):
            there = [rank for process, rank in rank_of.items() if process.host == peer[1]]
            return Death(there[0] if len(there) == 1 else None)
        if closed := _CLOSED.search(text):
            others = [rank for rank in rank_of.values() if rank != int(closed[1])]
            return Death(others[0] if len(others) == 1 else None)
        if ended := _ENDED.search(text):
            return Death(int(ended[1]), status=int(ended[2]))
        if left := _LEFT.search(text):
            return Death(int(left[1]))
        return None
