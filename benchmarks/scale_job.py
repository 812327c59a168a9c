"""What `scale.py` runs on its hosts: steps of training, against what `cost_model` predicts of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from benchmarks import cost_model
from benchmarks.calibrate import Calibration, weights_of_layers
from benchmarks.cost_model import Machine, StepTime
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.prediction import Predicted, compare
from benchmarks.workload import BATCH_SIZE, DENSE, network, noise

ALTERNATIONS, STEPS = 5, 6


class Way(NamedTuple):
    """A way of summing gradients between machines.

    Attributes:
        name: in figures.
        predict: of `cost_model`.
        options: of `compile`.
    """

    name: str
    predict: Callable[[Machine, cost_model.Job], StepTime]
    options: dict[str, Any]


WAYS = (
    Way("behind backward", cost_model.flat, {"overlap": False}),
    Way("overlapped", cost_model.overlapped, {}),
    Way("bfloat16", partial(cost_model.overlapped, bfloat16=True), {"compression": "bfloat16"}),
)


def measure(job: Job) -> list[Figure]:
    """Return what was measured of the hosts, and the times of steps, predicted and measured.

    Ranks: every rank of the job, each on a host of its own.
    """
    size, steps = job.ranks.size, job.repeats(STEPS)
    x, y = noise(steps * BATCH_SIZE, seed=0)
    predictions: dict[str, Predicted] = {}
    for name, hidden in list(DENSE.items())[: 1 if job.quick else None]:
        for way in WAYS:
            model = network(job.world, hidden, **way.options)
            trained = cost_model.Job(weights_of_layers(model), BATCH_SIZE, machines=size)
            predictions[f"{name}, {way.name}"] = Predicted(
                partial(model.fit, x, y, batch_size=BATCH_SIZE, verbose=0),
                steps,
                seconds_of(way.predict, trained),
            )
    return compare(job, Calibration(job, machines=size), predictions, ALTERNATIONS)


def seconds_of(
    predict: Callable[[Machine, cost_model.Job], StepTime], trained: cost_model.Job
) -> Callable[[Machine], float]:
    """Return what predicts the seconds of a step."""
    return lambda machine: predict(machine, trained).seconds


if __name__ == "__main__":
    run(measure)
