"""`fit` against Keras's on JAX: the same network, rows and update, on one core."""

from __future__ import annotations

import os
from functools import partial

# Before either library starts its threads: JAX makes one for every core that it may run on.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.environ["KERAS_BACKEND"] = "jax"

import keras  # noqa: E402

from benchmarks.alternate import alternate  # noqa: E402
from benchmarks.bare_loop import EPSILON, RATE  # noqa: E402
from benchmarks.figure import Figure  # noqa: E402
from benchmarks.job import Job, run  # noqa: E402
from benchmarks.workload import BATCH_SIZE, CLASSES, HIDDEN, network  # noqa: E402


def measure(job: Job) -> list[Figure]:
    """Return the ratio of both fits' times, and Keras's speed.

    Ranks: every rank of the job; meant for one, since Keras spreads no training over MPI's.
    """
    x, y = job.training
    ours = partial(network(job.world).fit, x, y, batch_size=BATCH_SIZE, verbose=0)
    theirs = partial(_network().fit, x, y, batch_size=BATCH_SIZE, verbose=0)
    compared = alternate(job.ranks.together(ours), job.ranks.together(theirs), job.alternations)
    size = job.ranks.size
    return [
        Figure("fit / Keras on JAX", size, compared.ratio, "x", job.alternations, compared.spread),
        Figure("Keras on JAX", size, len(x) / compared.medians[1], "samples/s", job.alternations),
    ]


def _network() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            *(keras.layers.Dense(units, activation="relu") for units in HIDDEN),
            keras.layers.Dense(CLASSES),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(RATE, epsilon=EPSILON),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


if __name__ == "__main__":
    run(measure)
