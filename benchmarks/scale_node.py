"""How well `cost_model` predicts ranks of one machine: a step of training, and what it is that they share memory."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks import calibrate, cost_model
from benchmarks.alternate import Action
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.prediction import Predicted, compare
from benchmarks.scale_job import seconds_of
from benchmarks.workload import BATCH_SIZE, DENSE, network, noise
from distfit import Sequential, layers

WIDTH = 5000  # one layer of so many inputs and units has 25 million weights
ALTERNATIONS, STEPS = 9, 12


def measure(job: Job) -> list[Figure]:
    """Return what was measured of the machine, and times of steps, and of sums and updates of many weights.

    Ranks: every rank of the job, all on one machine.
    """
    size, width, steps = job.ranks.size, 70 if job.quick else WIDTH, job.repeats(STEPS)
    x, y = noise(steps * BATCH_SIZE, seed=0)
    predictions: dict[str, Predicted] = {}
    for name, hidden in DENSE.items():
        model = network(job.world, hidden)
        trained = cost_model.Job(calibrate.weights_of_layers(model), BATCH_SIZE, ranks=size)
        fit = partial(model.fit, x, y, batch_size=BATCH_SIZE, verbose=0)
        predictions[f"{name}, one machine"] = Predicted(
            fit, steps, seconds_of(cost_model.hierarchical, trained)
        )
    summed = cost_model.Job((width**2,), rows=0, ranks=size, joins_products=False)

    def flat(machine: cost_model.Machine) -> float:
        step = cost_model.flat(machine, summed)
        return step.within + step.update

    def hierarchical(machine: cost_model.Machine) -> float:
        step = cost_model.hierarchical(machine, summed)
        return step.within + step.update

    title = f"sums and update of {width**2 / 1e6:.0f} million"
    predictions[f"{title}, a copy for each rank"] = Predicted(by_hand(job, width**2), 1, flat)
    predictions[f"{title}, one copy"] = Predicted(by_parts(job, width), 1, hierarchical)
    return compare(job, calibrate.Calibration(job, machines=1), predictions, ALTERNATIONS)


def by_hand(job: Job, weights: int) -> Action:
    """Return a reduction by MPI, and an update on each rank."""
    gradients, update = np.zeros(weights, np.float32), calibrate.update(weights)

    def act() -> None:
        job.ranks.all_reduce(gradients)
        update()

    return act


def by_parts(job: Job, width: int) -> Action:
    """Return the sums and the update of distfit, after a step of training a model that is all weights.

    Ranks: every rank.
    """
    dense = layers.Dense(width, use_bias=False, kernel_initializer="zeros", input_shape=(width,))
    model = Sequential([dense], comm=job.world)
    # Gradients that are looked at are those of each rank, and are summed before the update.
    model.compile("adam", "mse", on_nan="raise")
    rows = np.zeros((job.ranks.size, width), np.float32)
    model.fit(rows, rows, batch_size=job.ranks.size, verbose=0)

    def act() -> None:
        model.update.reduce()
        model.update.apply(1.0)

    return act


if __name__ == "__main__":
    run(measure)
