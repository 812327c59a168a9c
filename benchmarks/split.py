"""Where the time of a step goes: data, forward, loss, backward, agreements, reduction, update, callbacks, and the rest.

On several ranks of a machine, what is called reduction computes the gradients of kernels, over the rows of all: there
is nothing else to reduce. Beside the parts stands what the machine would need at least, as it was measured in the same
run: for the products of a step at the rate of a large one, and for what an update moves at the rate of a plain sum.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from benchmarks.alternate import seconds
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.node_memory import WIDTH
from benchmarks.workload import BATCH_SIZE, CHANNELS, CLASSES, DENSE, convolutional, network
from distfit import Model, Sequential, layers
from distfit.callbacks import CallbackList
from distfit.comm import Communicator
from distfit.comm.agreement import Agreement
from distfit.data.feed import IndexedFeed
from distfit.engines.graph import Graph

PARTS = ("data", "forward", "loss", "backward", "agreements", "reduction", "update", "callbacks", "the rest")
STEPS, TURNS = 20, 7
WIDE_ROWS, WIDE_STEPS = 32, 10
_SIDE, _LENGTH, _TRIES = 1024, 1 << 24, 15
_MOVED = 7  # arrays that Adam moves for each weight: of four that it reads it writes three


class Stopwatch:
    """Adds up the time within functions, without that of others which they call.

    Attributes:
        seconds: by part.
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._inner = 0.0

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, with its time added to a part."""

        def measured(*args: Any, **kwargs: Any) -> Any:
            outer, self._inner = self._inner, 0.0
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                passed = time.perf_counter() - start
                self.seconds[part] += passed - self._inner
                self._inner = outer + passed

        return measured

    @contextmanager
    def watching(self, model: Model) -> Iterator[None]:
        """Time what a training of a model does, within a block."""
        hooks = [name for name in dir(CallbackList) if name.startswith("on_")]
        places: list[tuple[str, Any, str]] = [
            ("data", IndexedFeed, "fetch"),
            ("forward", Graph, "forward"),
            ("backward", Graph, "backward"),
            ("loss", Model, "compute_loss"),
            ("agreements", Agreement, "agree"),
            ("reduction", type(model.update), "reduce"),
            ("update", type(model.update), "apply"),
            *(("callbacks", CallbackList, hook) for hook in hooks),
        ]
        with ExitStack() as stack:
            for part, owner, name in places:
                stack.enter_context(patch.object(owner, name, self.timed(part, getattr(owner, name))))
            yield


class Training(NamedTuple):
    """What is trained.

    Attributes:
        name: in figures.
        model: a network.
        rows: of which it is told inputs and targets.
        batch_size: of them.
        operations: of the products of one row, forward and backward.
    """

    name: str
    model: Model
    rows: tuple[np.ndarray, np.ndarray]
    batch_size: int
    operations: float


def measure(job: Job) -> list[Figure]:
    """Return the milliseconds of each part of a step, for four networks, in the mean of the ranks.

    Ranks: every rank of the job.
    """
    size = job.ranks.size
    operations, moved = _rates(job)
    figures = [
        Figure("a product of 1,024 by 1,024", size, operations / 1e9, "GFLOPS a rank", _TRIES),
        Figure("a sum of two arrays in memory", size, moved / 1e9, "GB/s a rank", _TRIES),
    ]
    for training in _trainings(job):
        parts = split(job, training)
        products = training.operations * training.batch_size / operations
        update = training.model.engine.parameters.nbytes * _MOVED / moved
        parts |= {"products at least": products / size * 1e3, "update at least": update / size * 1e3}
        figures += [Figure(f"{training.name}: {part}", size, ms, "ms", TURNS) for part, ms in parts.items()]
    return figures


def _trainings(job: Job) -> Iterator[Training]:
    x, y = job.training
    pictures = x[: STEPS * BATCH_SIZE], y[: STEPS * BATCH_SIZE]
    for name, hidden in DENSE.items():
        model = network(job.world, hidden)
        yield Training(name, model, pictures, BATCH_SIZE, _of_dense((28 * 28, *hidden, CLASSES)))
    yield Training("ConvNet", convolutional(job.world), pictures, BATCH_SIZE, _of_convolutions())
    width = 70 if job.quick else WIDTH
    zeros = np.zeros((WIDE_ROWS * WIDE_STEPS, width), np.float32)
    yield Training("50 million", wide(job.world, width), (zeros, zeros), WIDE_ROWS, 4.0 * width**2)


def split(job: Job, training: Training) -> dict[str, float]:
    """Return the milliseconds of a step by part: of each, the median of turns, and the mean of the ranks.

    Ranks: every rank of the job.
    """
    steps = len(training.rows[0]) // training.batch_size
    fit = partial(training.model.fit, *training.rows, batch_size=training.batch_size, verbose=0)
    fit()
    turns = []
    for _ in range(1 if job.quick else TURNS):
        watch = Stopwatch()
        with watch.watching(training.model):
            job.ranks.comm.Barrier()
            total = seconds(fit)
        watch.seconds["the rest"] = total - sum(watch.seconds.values())
        turns.append([watch.seconds[part] / steps * 1e3 for part in PARTS])
    medians = np.median(turns, axis=0)
    job.ranks.all_reduce(medians)
    return dict(zip(PARTS, (medians / job.ranks.size).tolist(), strict=True))


def wide(comm: Communicator, width: int) -> Sequential:
    """Return a network of one layer that is all weights.

    Ranks: local.
    """
    model = Sequential([layers.Dense(width, use_bias=False, input_shape=(width,))], comm=comm)
    model.compile("adam", "mse")
    return model


def _of_dense(widths: tuple[int, ...]) -> float:
    """Return the operations of a row in training: three products a layer, but two in the first."""
    sizes = [inputs * units for inputs, units in itertools.pairwise(widths)]
    return 2.0 * (3 * sum(sizes) - sizes[0])


def _of_convolutions() -> float:
    """Return those of the network of two convolutions, 3 by 3, on 28 by 28, each halved behind it."""
    first, second = CHANNELS
    return 2.0 * (2 * 26 * 26 * 9 * first + 3 * 11 * 11 * 9 * first * second + 3 * 25 * second * CLASSES)


def _rates(job: Job) -> tuple[float, float]:
    """Return what a core does while the others do the same: operations a second in a product, bytes in a sum.

    Ranks: every rank of the job.
    """
    one, other, out = (np.ones((_SIDE, _SIDE), np.float32) for _ in range(3))
    length = _LENGTH // 64 if job.quick else _LENGTH
    first, second = np.ones(length, np.float32), np.ones(length, np.float32)
    product = [job.ranks.together(partial(np.matmul, one, other, out=out))() for _ in range(_TRIES)]
    added = [job.ranks.together(partial(np.add, first, second, out=first))() for _ in range(_TRIES)]
    return 2.0 * _SIDE**3 / min(product), 3.0 * 4 * length / min(added)


if __name__ == "__main__":
    run(measure)
