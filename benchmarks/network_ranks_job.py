"""What `network.py` runs on hosts of several ranks: sums beside those of the host, and shards, against none of it."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.alternate import alternate
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.workload import BATCH_SIZE, WIDE, network, noise

ALTERNATIONS, STEPS = 9, 8
WAYS: dict[str, dict[str, Any]] = {
    "with sums between hosts beside those of the host": {},
    "of which each host updates a half": {"shard_optimizer": True},
}


def measure(job: Job) -> list[Figure]:
    """Return the ratio of steps' times to one in which all is summed within a host, then between, then updated.

    Ranks: every rank of the job, several on each host: more than it has cores of its own.
    """
    turns, steps = job.repeats(ALTERNATIONS), job.repeats(STEPS)
    x, y = noise(steps * BATCH_SIZE, seed=0)
    few: dict[str, Any] = {"x": x, "y": y, "batch_size": BATCH_SIZE, "verbose": 0}
    behind = job.ranks.together(partial(network(job.world, WIDE, overlap=False).fit, **few))
    figures = []
    for name, options in WAYS.items():
        ours = job.ranks.together(partial(network(job.world, WIDE, **options).fit, **few))
        compared = alternate(ours, behind, turns)
        figures.append(
            Figure(
                f"a step {name} / with one after the other",
                *(job.ranks.size, compared.ratio, "x", turns, compared.spread),
            )
        )
    return figures


if __name__ == "__main__":
    run(measure)
