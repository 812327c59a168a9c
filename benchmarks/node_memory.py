"""What it is worth that the ranks of a machine hold one copy: the time of an update of many weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mpi4py import MPI

from benchmarks.alternate import Comparison, Timed, take_turns
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from distfit import Sequential, layers, optimizers
from distfit.comm import Communicator
from distfit.optimizers import Segment

WIDTH = 7071  # one layer of so many inputs and units has 50 million weights
ALTERNATIONS = 15


def measure(job: Job) -> list[Figure]:
    """Return the time from all ranks' gradients to new weights, against that of a reduction and an Adam on each rank.

    Ranks: every rank of the job.
    """
    width, turns = (70, 1) if job.quick else (WIDTH, ALTERNATIONS)
    model = wide(job.world, width)
    # Of other layers than dense ones, gradients lie in the ranks' buffers; of these, too, from here on.
    model.update.release()
    size = model.engine.parameters.size
    whole, gradients = np.zeros(size, np.float32), np.zeros(size, np.float32)
    adam = optimizers.Adam()
    adam.build(size, np.float32, [Segment("all", 0, size)])
    drawn = np.random.default_rng(job.ranks.rank).normal(size=size).astype(np.float32)

    def by_hand() -> None:
        job.ranks.comm.Allreduce(MPI.IN_PLACE, gradients)
        adam.apply(whole, gradients, 256)

    def by_parts() -> None:
        model.update.reduce()
        model.update.apply(256)

    ours, theirs = take_turns(
        [
            _from(model.engine.gradients, drawn, by_parts, job),
            _from(gradients, drawn, by_hand, job),
        ],
        turns,
    )
    compared = Comparison(ours, theirs)
    return [
        Figure(
            f"reduction and update of {size / 1e6:.0f} million / Allreduce and Adam on each rank",
            job.ranks.size,
            compared.ratio,
            "x",
            turns,
            compared.spread,
            0.4,
        ),
        Figure("Allreduce and Adam on each rank", job.ranks.size, compared.medians[1] * 1e3, "ms", turns),
    ]


def wide(comm: Communicator, width: int) -> Sequential:
    """Return a model that is all weights, after two steps of training.

    Ranks: every rank.
    """
    model = Sequential(
        [layers.Dense(width, use_bias=False, kernel_initializer="zeros", input_shape=(width,))], comm=comm
    )
    model.compile("adam", "mse")
    rows = np.zeros((2 * comm.size, width), np.float32)
    model.fit(rows, rows, batch_size=comm.size, epochs=1, verbose=0)
    return model


def _from(gradients: np.ndarray, drawn: np.ndarray, update: Callable[[], None], job: Job) -> Timed:
    """Return what times an update from its gradients on, which the one before has used up."""
    timed = job.ranks.together(update)

    def filled() -> float:
        gradients[...] = drawn
        return timed()

    return filled


if __name__ == "__main__":
    run(measure)
