"""`fit` against Keras's on JAX: the same networks and rows on as many cores, which Keras takes in one process."""

from __future__ import annotations

import os
from functools import partial

from mpi4py import MPI

# Before either library starts its threads: JAX makes one for every core that it may run on.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: MPI.COMM_WORLD.size])
os.environ["KERAS_BACKEND"] = "jax"

import keras  # noqa: E402

from benchmarks.alternate import alternate  # noqa: E402
from benchmarks.bare_loop import EPSILON, RATE  # noqa: E402
from benchmarks.figure import Figure  # noqa: E402
from benchmarks.job import Job, run  # noqa: E402
from benchmarks.workload import BATCH_SIZE, CLASSES, DENSE, network  # noqa: E402

TARGETS = {"784-512-512-10": 1.05, "784-1024-1024-10": 1.15}


def measure(job: Job) -> list[Figure]:
    """Return the ratio of both fits' times, and Keras's speed, for two networks.

    Ranks: every rank of the job. Root alone runs Keras, while the others sleep.
    """
    x, y = job.training
    size, figures = job.ranks.size, []
    for name, hidden in DENSE.items():
        ours = partial(network(job.world, hidden).fit, x, y, batch_size=BATCH_SIZE, verbose=0)
        theirs = partial(_network(hidden).fit, x, y, batch_size=BATCH_SIZE, verbose=0)
        compared = alternate(job.ranks.together(ours), job.ranks.on_root(theirs), job.alternations)
        target = TARGETS[name] if size > 1 else None
        speed = len(x) / compared.medians[1]
        figures += [
            Figure(
                f"fit / Keras on JAX, {name}",
                size,
                compared.ratio,
                "x",
                job.alternations,
                compared.spread,
                target,
            ),
            Figure(f"Keras on JAX, {name}", size, speed, "samples/s", job.alternations),
        ]
    return figures


def _network(hidden: tuple[int, ...]) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            *(keras.layers.Dense(units, activation="relu") for units in hidden),
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
