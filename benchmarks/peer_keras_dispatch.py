"""Keras's own `CallbackList` on the same ten callbacks as in `dispatch`."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "jax"

import keras

from benchmarks.alternate import alternate
from benchmarks.dispatch import BATCHES, CALLBACKS, OnAllRanks, direct_calls, logs, loop
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.workload import network
from distfit.callbacks import CallbackList


def measure(job: Job) -> list[Figure]:
    """Return how long Keras's dispatch takes against the direct calls, and distfit's against Keras's.

    Ranks: one.
    """
    batches = job.repeats(BATCHES)
    callbacks = [OnAllRanks() for _ in range(CALLBACKS)]
    theirs = job.ranks.together(loop(keras.callbacks.CallbackList(callbacks), logs(job), batches))
    ours = job.ranks.together(
        loop(CallbackList(callbacks, model=network(job.world, hidden=())), logs(job), batches)
    )
    direct = job.ranks.together(direct_calls(callbacks, logs(job), batches))
    figures = []
    for name, one, other in (
        ("ten callbacks: Keras's CallbackList / calling them", theirs, direct),
        ("ten callbacks: CallbackList / Keras's", ours, theirs),
    ):
        compared = alternate(one, other, job.alternations)
        figures.append(Figure(name, 1, compared.ratio, "x", job.alternations, compared.spread))
    return figures


if __name__ == "__main__":
    run(measure)
