"""How much longer `fit` takes than a loop written by hand that does the same arithmetic."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np

from benchmarks.alternate import alternate
from benchmarks.bare_loop import BareLoop, Order, shuffled
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.workload import BATCH_SIZE, network


def measure(job: Job) -> list[Figure]:
    """Return the ratio, and both sides' speed.

    Ranks: every rank of the job.
    """
    x, y = job.training
    ranks = job.ranks
    model = network(job.world)
    bare = BareLoop(model.get_weights(), ranks.rank, ranks.size, ranks.all_reduce)
    fit = partial(model.fit, x, y, batch_size=BATCH_SIZE, verbose=0)
    loop = partial(bare.fit, x, y, BATCH_SIZE, epochs=1, order=_each_time_anew(len(x)))
    compared = alternate(ranks.together(fit), ranks.together(loop), job.alternations)
    of_fit, of_loop = compared.medians
    return [
        Figure(
            "fit / bare loop",
            ranks.size,
            compared.ratio,
            "x",
            job.alternations,
            compared.spread,
            at_most=1.03 if ranks.size == 1 else None,
            bytes=model.engine.gradients.nbytes,
        ),
        Figure("fit", ranks.size, len(x) / of_fit, "samples/s", job.alternations),
        Figure("bare loop", ranks.size, len(x) / of_loop, "samples/s", job.alternations),
    ]


def _each_time_anew(rows: int) -> Order:
    order, calls = shuffled(rows), itertools.count()

    def next_order(_: int) -> np.ndarray:
        return order(next(calls))

    return next_order


if __name__ == "__main__":
    run(measure)
