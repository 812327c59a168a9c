"""What it costs to look after numbers and ranks: the test for NaN in each step, the comparison at each epoch's end."""

from __future__ import annotations

import statistics
from functools import partial

from benchmarks.alternate import quartiles, seconds
from benchmarks.figure import Figure
from benchmarks.job import STEPS, Job, run
from benchmarks.messages import PERCENT, Stopwatch
from benchmarks.workload import BATCH_SIZE, network

MILLISECONDS = 1e3


def measure(job: Job) -> list[Figure]:
    """Return what both take within `fit`, alone and as a part of it.

    Ranks: every rank of the job.
    """
    x, y = job.training
    model = network(job.world, on_nan="skip")
    fit = partial(model.fit, x, y, batch_size=BATCH_SIZE, verbose=0)
    tests = [Stopwatch(model.numerics, name) for name in ("begin_update", "accepts", "allows_update")]
    comparison = Stopwatch(model.divergence, "check")
    fit()
    steps, test_s, comparison_s, fit_s = job.repeats(STEPS), [], [], []
    for _ in range(job.alternations):
        for watch in (*tests, comparison):
            watch.seconds = 0.0
        fit_s.append(seconds(fit))
        test_s.append(sum(watch.seconds for watch in tests))
        comparison_s.append(comparison.seconds)
    state = sum(array.nbytes for array in model.shared_state.arrays().values())

    def figures(
        name: str, unit: str, taken: list[float], times: int, at_most: float, size: int
    ) -> list[Figure]:
        shares = [part / whole * PERCENT for part, whole in zip(taken, fit_s, strict=True)]
        each = statistics.median(taken) / times * MILLISECONDS
        return [
            Figure(name, job.ranks.size, each, unit, job.alternations, bytes=size),
            Figure(
                f"{name}, part of fit",
                job.ranks.size,
                statistics.median(shares),
                "%",
                job.alternations,
                quartiles(shares),
                at_most,
            ),
        ]

    return [
        *figures("test for NaN", "ms/step", test_s, steps, 2.0, model.engine.gradients.nbytes),
        *figures(f"comparison after {steps} steps", "ms/epoch", comparison_s, 1, 2.0, state),
    ]


if __name__ == "__main__":
    run(measure)
