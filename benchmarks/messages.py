"""How long messages take, against bare MPI, and which part of `fit` they are."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.alternate import Action, alternate, quartiles, seconds
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.workload import BATCH_SIZE, network
from distfit import Sequential
from distfit.comm import Phase
from distfit.comm.agreement import MESSAGE_LENGTH

MICROSECONDS = 1e6
PERCENT = 100
_FEW_NUMBERS = 4  # what a step of this network sums: the loss, its weight, and the accuracy's two


def measure(job: Job) -> list[Figure]:
    """Return what a message costs alone, and what messages cost within `fit`, waiting for the slower rank included.

    Ranks: every rank of the job.
    """
    model = network(job.world)
    return [*_small(job), *_bulk(job, model.engine.gradients), *_within_fit(job, model)]


def _small(job: Job) -> list[Figure]:
    payload, number = np.zeros(_FEW_NUMBERS), np.zeros(1)
    agree = partial(job.world.agreement.agree, Phase.STEP, payload)
    return _against_mpi(job, "small message", agree, number, times=1000, size=8 * MESSAGE_LENGTH)


def _bulk(job: Job, gradients: np.ndarray) -> list[Figure]:
    reduce = partial(job.world.transport.all_reduce, gradients)
    return _against_mpi(job, "reduction", reduce, gradients, times=10, size=gradients.nbytes)


def _against_mpi(
    job: Job, name: str, action: Action, array: np.ndarray, times: int, size: int
) -> list[Figure]:
    times = job.repeats(times)
    bare = partial(job.ranks.all_reduce, array)
    compared = alternate(
        job.ranks.together(partial(_repeat, action, times)),
        job.ranks.together(partial(_repeat, bare, times)),
        job.alternations,
    )
    ours, mpis = (median / times * MICROSECONDS for median in compared.medians)
    return [
        Figure(name, job.ranks.size, ours, "us", job.alternations, bytes=size),
        Figure(
            f"MPI's sum of {array.nbytes:,} bytes",
            job.ranks.size,
            mpis,
            "us",
            job.alternations,
            bytes=array.nbytes,
        ),
    ]


def _repeat(action: Action, times: int) -> None:
    for _ in range(times):
        action()


def _within_fit(job: Job, model: Sequential) -> list[Figure]:
    x, y = job.training
    watches = {
        "agreements, part of fit": Stopwatch(job.world.agreement, "agree"),
        "reductions, part of fit": Stopwatch(job.world.transport, "all_reduce"),
    }
    parts: dict[str, list[float]] = {name: [] for name in watches}
    fit = partial(model.fit, x, y, batch_size=BATCH_SIZE, verbose=0)
    for _ in range(job.alternations):
        for watch in watches.values():
            watch.seconds = 0.0
        whole = seconds(fit)
        for name, watch in watches.items():
            parts[name].append(watch.seconds / whole * PERCENT)
    return [
        Figure(name, job.ranks.size, statistics.median(part), "%", job.alternations, quartiles(part))
        for name, part in parts.items()
    ]


class Stopwatch:
    """Adds up the time that is spent in a method of an object.

    Args:
        owner: the object.
        method: the method's name; it is replaced in this object.
    """

    def __init__(self, owner: object, method: str) -> None:
        self.seconds = 0.0
        self._method: Callable[..., Any] = getattr(owner, method)
        setattr(owner, method, self._call)

    def _call(self, *arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        result = self._method(*arguments, **options)
        self.seconds += time.perf_counter() - began
        return result


if __name__ == "__main__":
    run(measure)
