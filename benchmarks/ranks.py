"""The job's ranks as the bare loop sees them: MPI, and nothing of distfit."""

from __future__ import annotations

import time

import numpy as np
from mpi4py import MPI

from benchmarks.alternate import Action, Timed, seconds

_NAP_S = 0.001


class Ranks:
    """All ranks of the job.

    Attributes:
        rank: this one's number.
        size: how many there are.
    """

    def __init__(self) -> None:
        self.comm = MPI.COMM_WORLD.Dup()
        self.rank, self.size = self.comm.rank, self.comm.size

    def all_reduce(self, array: np.ndarray) -> None:
        """Sum an array in place.

        Ranks: every rank.
        """
        self.comm.Allreduce(MPI.IN_PLACE, array)

    def together(self, action: Action) -> Timed:
        """Return what times an action of all ranks: from where they have met to where the last one is through."""

        def timed() -> float:
            self._meet()
            self.comm.Barrier()  # awake by now, so that all begin within microseconds
            return float(self.comm.allreduce(seconds(action), MPI.MAX))

        return timed

    def on_root(self, action: Action) -> Timed:
        """Return what times an action of root alone, while the others sleep."""

        def timed() -> float:
            self._meet()
            taken = seconds(action) if self.rank == 0 else 0.0
            self._meet()
            return float(self.comm.bcast(taken))

        return timed

    def _meet(self) -> None:
        """Wait asleep: MPI's own waiting would take a core from the rank that is measured."""
        arrival = self.comm.Ibarrier()
        while not arrival.Test():
            time.sleep(_NAP_S)
