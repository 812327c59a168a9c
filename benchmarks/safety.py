"""What it costs that nothing hangs: agreements against bare sums in the same `fit`, and the watchdog."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks.alternate import Action, alternate, seconds
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.workload import BATCH_SIZE, network
from distfit.comm import Agreed, Communicator, Phase
from distfit.comm.agreement import Agreement
from distfit.comm.board import Board
from distfit.comm.group_watch import NAP_S, GroupWatch
from distfit.comm.patience import patience
from distfit.comm.whereabouts import stack, whereabouts
from distfit.utils.activity import doing, now

MICROSECONDS = 1e6
PERCENT = 100
_STEPS = 10_000
_LOOKS = 1_000


class Bare(Agreement):
    """Sums what a step has to sum, and agrees on nothing: the scores alone, by one call of MPI.

    Args:
        comm: the ranks.
        all_reduce: MPI's.
    """

    def __init__(self, comm: Communicator, all_reduce: Any) -> None:
        super().__init__(comm.transport)
        self._all_reduce = all_reduce
        self._size = comm.size
        self._pattern = comm.agreement.agree(Phase.POINT)

    def agree(
        self,
        at: Phase | None,
        payload: np.ndarray | None = None,
        *,
        key: int = 0,
        has_next: bool = False,
        **_: Any,
    ) -> Agreed:
        sums = np.zeros(0) if payload is None else payload.copy()
        if sums.size:
            self._all_reduce(sums)
        return replace(self._pattern, phase=at, key=key, sums=sums, has_next=self._size * has_next)


def measure(job: Job) -> list[Figure]:
    """Return how much longer `fit` takes with agreements, and what the watchdog costs: its looks, and what it looks at.

    Ranks: every rank of the job.
    """
    x, y = job.training
    model = network(job.world)
    agreement, bare = job.world.agreement, Bare(job.world, job.ranks.all_reduce)
    fit = partial(model.fit, x, y, batch_size=BATCH_SIZE, verbose=0)

    def unsafe() -> None:
        vars(job.world)["agreement"] = bare
        try:
            fit()
        finally:
            vars(job.world)["agreement"] = agreement

    compared = alternate(job.ranks.together(fit), job.ranks.together(unsafe), job.alternations)
    steps, looks = job.repeats(_STEPS), job.repeats(_LOOKS)
    noted = seconds(partial(_note, steps)) / steps
    looked = seconds(partial(_look, job.world, looks)) / looks
    return [
        Figure(
            "fit / fit with bare sums for agreements",
            job.ranks.size,
            compared.ratio,
            "x",
            job.alternations,
            compared.spread,
            at_most=1.02,
        ),
        Figure("noting what a step does", job.ranks.size, noted * MICROSECONDS, "us", job.alternations),
        Figure(
            "watchdog, part of a core",
            job.ranks.size,
            looked / NAP_S * PERCENT,
            "%",
            job.alternations,
            at_most=0.1,
        ),
    ]


def _note(steps: int) -> None:
    """Store what a step stores: a read, an agreement and a reduction."""
    transport: Action = _note
    for step in range(steps):
        now.step = step
        with doing("reads a batch"):
            pass
        now.about = Phase.STEP, 0, "training"
        for _ in range(2):
            outer, now.waits_for = now.waits_for, transport
            now.waits_for = outer
            now.finished += 1


def _look(comm: Communicator, looks: int) -> None:
    """Look around as the watchdog's thread does twice a second."""
    watch = GroupWatch(comm.rank, [comm.host] * comm.size, Board(comm.size), patience)
    for _ in range(looks):
        watch.tick(comm.transport, now, whereabouts(), stack)


if __name__ == "__main__":
    run(measure)
