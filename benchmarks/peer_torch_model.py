"""`TorchModel` against PyTorch's own loop at one rank, and against DistributedDataParallel over gloo at several."""

from __future__ import annotations

import copy
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.alternate import Action, Comparison, alternate, take_turns
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

Make = Callable[[], nn.Module]


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


NETWORKS = (
    ("MLP of 5 million", mlp, OF_TORCH, 0.8),
    ("MLP of 5 million, distfit's SGD", mlp, optimizers.SGD(RATE, momentum=MOMENTUM), 0.8),
    ("ConvNet", conv_net, OF_TORCH, None),
    ("ConvNet, distfit's SGD", conv_net, optimizers.SGD(RATE, momentum=MOMENTUM), None),
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
    with tempfile.TemporaryDirectory() as folder:
        meet(job.ranks, Path(folder))
        compare = compare_alone if job.ranks.size == 1 else compare_with_ddp
        figures = [figure for network in NETWORKS for figure in compare(job, x, y, *network)]
        torch.distributed.destroy_process_group()
    return figures


def compare_alone(
    job: Job, x: np.ndarray, y: np.ndarray, name: str, make: Make, optimizer: Any, _: float | None
) -> list[Figure]:
    """Return an epoch's time against that of a loop without distfit."""
    ours, theirs = distfit_epoch(make, optimizer, x, y, job.world), own_loop(make(), x, y, job.ranks)
    together, turns = job.ranks.together, 1 if job.quick else ALTERNATIONS
    one = alternate(together(ours), together(theirs), turns)
    target = 1.03 if optimizer is OF_TORCH else None  # another optimizer is another arithmetic
    return [
        Figure(f"TorchModel / torch's own loop, {name}", 1, one.ratio, "x", turns, one.spread, target),
        Figure(f"torch's own loop, {name}", 1, _per_step(one.medians[1], x), "ms/step", turns),
    ]


def compare_with_ddp(
    job: Job, x: np.ndarray, y: np.ndarray, name: str, make: Make, optimizer: Any, target: float | None
) -> list[Figure]:
    """Return an epoch's time against that of DDP: as a whole, and less what each rank computes of it by itself."""
    ranks, turns = job.ranks, 1 if job.quick else ALTERNATIONS
    actions = (
        distfit_epoch(make, optimizer, x, y, job.world),
        own_loop(DistributedDataParallel(make()), x, y, ranks),
        own_loop(make(), x, y, ranks),
    )
    times = take_turns([ranks.together(action) for action in actions], turns)
    whole = Comparison(times[0], times[1])
    ours, ddp, bare = (statistics.median(one) for one in times)
    beyond = (ours - bare) / (ddp - bare)
    size = ranks.size
    return [
        Figure(f"TorchModel / DDP, {name}", size, whole.ratio, "x", turns, whole.spread, target),
        Figure(
            f"the same, less the compute, {name}", size, beyond, "x", turns, None, None if target else 0.5
        ),
        Figure(f"DDP, {name}", size, _per_step(ddp, x), "ms/step", turns),
        Figure(f"the compute alone, {name}", size, _per_step(bare, x), "ms/step", turns),
    ]


def _per_step(seconds: float, x: np.ndarray) -> float:
    return seconds / (len(x) // BATCH_SIZE) * 1e3


def distfit_epoch(make: Make, optimizer: Any, x: np.ndarray, y: np.ndarray, world: Communicator) -> Action:
    """Return an epoch of `TorchModel`."""
    model = TorchModel(make(), comm=world)
    model.compile(copy.deepcopy(optimizer), nn.CrossEntropyLoss())
    return partial(model.fit, x, y, batch_size=BATCH_SIZE, shuffle=False, verbose=0)


def own_loop(trained: nn.Module, x: np.ndarray, y: np.ndarray, ranks: Ranks) -> Callable[[], float]:
    """Return an epoch as a user of PyTorch would write it, of a rank's rows, which looks at its loss as `fit` does."""
    optimizer = OF_TORCH(trained.parameters())
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
