"""What `network.py` runs on its hosts: a step that sends half the bytes against one that sends all."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.alternate import alternate
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.workload import BATCH_SIZE, WIDE, network
from distfit.comm import Communicator

ALTERNATIONS, STEPS, EPOCHS = 15, 12, 5


def measure(job: Job) -> list[Figure]:
    """Return the ratio of both steps' times, and the accuracy of both trainings.

    Ranks: every rank of the job, each on a host of its own.
    """
    (x, y), turns = job.training, 1 if job.quick else ALTERNATIONS
    rows = min(STEPS * BATCH_SIZE, len(x))
    few: dict[str, Any] = {"x": x[:rows], "y": y[:rows], "batch_size": BATCH_SIZE, "verbose": 0}
    size = job.ranks.size
    figures = []
    blocking = partial(network(job.world, WIDE, overlap=False).fit, **few)
    for name, compression, target in (("as float32", None, 0.9), ("as bfloat16", "bfloat16", 0.6)):
        overlapped = partial(network(job.world, WIDE, compression=compression).fit, **few)
        compared = alternate(job.ranks.together(overlapped), job.ranks.together(blocking), turns)
        figures += [
            Figure(
                f"a step with sums during backward, {name} / with a reduction behind it, as float32",
                *(size, compared.ratio, "x", turns, compared.spread, target),
            ),
            Figure(
                f"a step with a reduction behind backward, in turn with {name}",
                *(size, compared.medians[1] / (rows / BATCH_SIZE) * 1e3, "ms", turns),
            ),
        ]
    return [
        *figures,
        *(
            Figure(
                f"accuracy after {EPOCHS} epochs, {name}", size, accuracy(job, job.world, compression), "", 1
            )
            for name, compression in (("bfloat16", "bfloat16"), ("float32", None))
        ),
    ]


def accuracy(job: Job, comm: Communicator, compression: str | None) -> float:
    """Return how many of the test rows are right after a training.

    Ranks: every rank.
    """
    model = network(comm, compression=compression)
    x, y = job.all_training
    model.fit(x, y, batch_size=BATCH_SIZE, epochs=1 if job.quick else EPOCHS, verbose=0)
    return float(model.evaluate(*job.test, batch_size=1024, verbose=0, return_dict=True)["accuracy"])


if __name__ == "__main__":
    run(measure)
