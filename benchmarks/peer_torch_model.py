"""`TorchModel` against PyTorch's own loop at one rank, and against DistributedDataParallel over gloo at several."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.alternate import Comparison, alternate
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.peer_torch import meet
from benchmarks.ranks import Ranks
from distfit import TorchModel, optimizers
from distfit.comm import Communicator

BATCH_SIZE, CLASSES, RATE, MOMENTUM = 256, 10, 0.01, 0.9
WIDTH = 1400  # three layers of so many units have 5 million weights
OF_TORCH = partial(torch.optim.SGD, lr=RATE, momentum=MOMENTUM)
ALTERNATIONS = 15


def mlp() -> nn.Module:
    """Return a network of 5 million weights."""
    torch.manual_seed(0)
    sizes = [784, WIDTH, WIDTH, WIDTH]
    hidden = [part for i in range(3) for part in (nn.Linear(sizes[i], sizes[i + 1]), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(WIDTH, CLASSES))


def conv_net() -> nn.Module:
    """Return a network of few weights that computes much for each."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * 25, CLASSES)),
    )


def measure(job: Job) -> list[Figure]:
    """Return the ratios of both loops' times, for both networks.

    Ranks: every rank of the job.
    """
    torch.set_num_threads(1)
    steps = 2 if job.quick else 8
    generator = np.random.default_rng(0)
    x = generator.normal(size=(steps * BATCH_SIZE, 1, 28, 28)).astype(np.float32)
    y = generator.integers(0, CLASSES, len(x))
    alternations = 1 if job.quick else ALTERNATIONS
    with tempfile.TemporaryDirectory() as folder:
        meet(job.ranks, Path(folder))
        both = {
            name: compare(make, optimizer, x, y, job.ranks, job.world, alternations)
            for name, make, optimizer in (
                ("MLP of 5 million", mlp, OF_TORCH),
                ("MLP of 5 million, distfit's SGD", mlp, optimizers.SGD(RATE, momentum=MOMENTUM)),
                ("ConvNet", conv_net, OF_TORCH),
            )
        }
        torch.distributed.destroy_process_group()
    size = job.ranks.size
    peer, target = ("torch's own loop", 1.03) if size == 1 else ("DDP", 0.8)
    return [
        Figure(f"TorchModel / {peer}, {name}", size, one.ratio, "x", alternations, one.spread, at_most=target)
        for name, one in both.items()
    ] + [
        Figure(f"{peer}, {name}", size, one.medians[1] / steps * 1e3, "ms/step", alternations)
        for name, one in both.items()
    ]


def compare(
    make: Callable[[], nn.Module],
    optimizer: Any,
    x: np.ndarray,
    y: np.ndarray,
    ranks: Ranks,
    world: Communicator,
    alternations: int,
) -> Comparison:
    """Measure an epoch of both, in turn."""
    model = TorchModel(make(), comm=world)
    model.compile(optimizer, nn.CrossEntropyLoss())
    fit = partial(model.fit, x, y, batch_size=BATCH_SIZE, shuffle=False, verbose=0)
    return alternate(ranks.together(fit), ranks.together(own_loop(make(), x, y, ranks)), alternations)


def own_loop(module: nn.Module, x: np.ndarray, y: np.ndarray, ranks: Ranks) -> Callable[[], float]:
    """Return an epoch as a user of PyTorch would write it, which looks at its loss as `fit` does."""
    trained = module if ranks.size == 1 else DistributedDataParallel(module)
    optimizer = OF_TORCH(module.parameters())
    loss_of, images, labels = nn.CrossEntropyLoss(), torch.from_numpy(x), torch.from_numpy(y)
    part = BATCH_SIZE // ranks.size

    def epoch() -> float:
        total = 0.0
        for start in range(0, len(x), BATCH_SIZE):
            rows = slice(start + ranks.rank * part, start + (ranks.rank + 1) * part)
            optimizer.zero_grad()
            loss = loss_of(trained(images[rows]), labels[rows])
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total

    return epoch


if __name__ == "__main__":
    run(measure)
