"""How much of one rank's time several ranks take for the same rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.alternate import alternate
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.workload import BATCH_SIZE, Rows, network
from distfit.comm import Communicator


def measure(job: Job) -> list[Figure]:
    """Return the ratios of `evaluate` and `fit`.

    Ranks: every rank of the job.
    """
    many, one = network(job.world), network(Communicator.alone())
    return [
        *_compare(job, "evaluate", many.evaluate, one.evaluate, job.test, at_most=0.6),
        *_compare(job, "fit", many.fit, one.fit, job.training, at_most=None),
    ]


def _compare(
    job: Job,
    name: str,
    many: Callable[..., object],
    one: Callable[..., object],
    rows: Rows,
    at_most: float | None,
) -> list[Figure]:
    size, count = job.ranks.size, len(rows[0])
    on_all, on_one = (partial(call, *rows, batch_size=BATCH_SIZE, verbose=0) for call in (many, one))
    compared = alternate(job.ranks.together(on_all), job.ranks.on_root(on_one), job.alternations)
    of_many, of_one = compared.medians
    return [
        Figure(
            f"{name} / {name} on 1 rank",
            size,
            compared.ratio,
            "x",
            job.alternations,
            compared.spread,
            at_most,
        ),
        Figure(name, size, count / of_many, "samples/s", job.alternations),
        Figure(name, 1, count / of_one, "samples/s", job.alternations),
    ]


if __name__ == "__main__":
    run(measure)
