"""How much of one rank's time several ranks take for the same rows."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.alternate import Action, alternate
from benchmarks.bare_loop import BareLoop
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.workload import BATCH_SIZE, network
from distfit.comm import Communicator

EVALUATION_BATCH = 1024  # as examples/evaluate.py has it: no update waits for a batch of evaluation


def measure(job: Job) -> list[Figure]:
    """Return the ratios of `evaluate` and `fit`; and of the bare loop, which tell what the machine has to give.

    Ranks: every rank of the job.
    """
    ranks = job.ranks
    many, one = network(job.world), network(Communicator.alone())
    weights = one.get_weights()
    bare_many = BareLoop(weights, ranks.rank, ranks.size, ranks.all_reduce)
    bare_one = BareLoop(weights)
    evaluation: dict[str, Any] = {"batch_size": EVALUATION_BATCH, "verbose": 0}
    training: dict[str, Any] = {"batch_size": BATCH_SIZE, "verbose": 0}
    return [
        *_compare(
            job,
            "evaluate",
            partial(many.evaluate, *job.test, **evaluation),
            partial(one.evaluate, *job.test, **evaluation),
            len(job.test[0]),
            at_most=0.55,
        ),
        *_compare(
            job,
            "bare evaluate",
            partial(bare_many.evaluate, *job.test, EVALUATION_BATCH),
            partial(bare_one.evaluate, *job.test, EVALUATION_BATCH),
            len(job.test[0]),
        ),
        *_compare(
            job,
            "fit",
            partial(many.fit, *job.training, **training),
            partial(one.fit, *job.training, **training),
            len(job.training[0]),
            at_most=0.6,
        ),
    ]


def _compare(
    job: Job, name: str, many: Action, one: Action, rows: int, at_most: float | None = None
) -> list[Figure]:
    size = job.ranks.size
    compared = alternate(job.ranks.together(many), job.ranks.on_root(one), job.alternations)
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
        Figure(name, size, rows / of_many, "samples/s", job.alternations),
        Figure(name, 1, rows / of_one, "samples/s", job.alternations),
    ]


if __name__ == "__main__":
    run(measure)
