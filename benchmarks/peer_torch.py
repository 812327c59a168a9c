"""`fit` against PyTorch on one rank, and DistributedDataParallel over gloo on several: the same networks and rows."""

from __future__ import annotations

import itertools
import os
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.alternate import alternate
from benchmarks.bare_loop import EPSILON, RATE, shuffled
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.ranks import Ranks
from benchmarks.workload import BATCH_SIZE, CHANNELS, CLASSES, DENSE, convolutional, network


def measure(job: Job) -> list[Figure]:
    """Return the ratios of both loops' times, and PyTorch's speed, for three networks; at 1 rank without DDP.

    Ranks: every rank of the job.
    """
    torch.set_num_threads(1)
    peer = "PyTorch" if job.ranks.size == 1 else "PyTorch DDP"
    target = None if job.ranks.size == 1 else 0.42
    networks = {
        name: (partial(network, job.world, hidden), dense(hidden), target) for name, hidden in DENSE.items()
    }
    if job.ranks.size == 1:
        networks["ConvNet"] = (partial(convolutional, job.world), conv_net(), 1.5)
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        meet(job.ranks, Path(folder))
        for name, (ours, theirs, target) in networks.items():
            x, y = job.training
            if name == "ConvNet":
                x, y = x[: len(x) // 4], y[: len(y) // 4]
            fit = partial(ours().fit, x, y, batch_size=BATCH_SIZE, verbose=0)
            epoch = TorchLoop(theirs, x, y, job.ranks).epoch
            compared = alternate(job.ranks.together(fit), job.ranks.together(epoch), job.alternations)
            size, speed = job.ranks.size, len(x) / compared.medians[1]
            figures += [
                Figure(
                    f"fit / {peer}, {name}",
                    size,
                    compared.ratio,
                    "x",
                    job.alternations,
                    compared.spread,
                    target,
                ),
                Figure(f"{peer}, {name}", size, speed, "samples/s", job.alternations),
            ]
        torch.distributed.destroy_process_group()
    return figures


def dense(hidden: tuple[int, ...]) -> nn.Module:
    """Return the network of `workload.network`."""
    torch.manual_seed(0)
    widths = [28 * 28, *hidden]
    rectified = [
        layer
        for inputs, units in itertools.pairwise(widths)
        for layer in (nn.Linear(inputs, units), nn.ReLU())
    ]
    return nn.Sequential(nn.Flatten(), *rectified, nn.Linear(widths[-1], CLASSES))


def conv_net() -> nn.Module:
    """Return the network of `workload.convolutional`."""
    torch.manual_seed(0)
    first, second = CHANNELS
    return nn.Sequential(
        *(nn.Unflatten(1, (1, 28)), nn.Conv2d(1, first, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(first, second, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(25 * second, CLASSES)),
    )


def meet(ranks: Ranks, folder: Path) -> None:
    """Let gloo find the ranks on this machine, through a file of root's.

    Ranks: every rank.
    """
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    meeting = ranks.comm.bcast(str(folder / "meeting"))
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=ranks.rank, world_size=ranks.size
    )


class TorchLoop:
    """What a user of PyTorch would write, with its fastest form of Adam.

    Args:
        module: what is trained.
        x: images, ``(rows, height, width)`` uint8.
        y: classes, ``(rows,)``.
        ranks: of which each trains on an equal part of a batch.
    """

    def __init__(self, module: nn.Module, x: np.ndarray, y: np.ndarray, ranks: Ranks) -> None:
        self._x, self._y = torch.from_numpy(x.copy()), torch.from_numpy(y.astype(np.int64))
        self._ranks = ranks
        self._order = shuffled(len(x))
        self._epochs = 0
        self._model = module if ranks.size == 1 else DistributedDataParallel(module)
        self._loss = nn.CrossEntropyLoss()
        self._optimizer = torch.optim.Adam(self._model.parameters(), lr=RATE, eps=EPSILON, fused=True)

    def epoch(self) -> tuple[float, float]:
        """Train for an epoch, and return the loss and the accuracy.

        Ranks: every rank.
        """
        rows = self._order(self._epochs)
        self._epochs += 1
        sums = torch.zeros(2, dtype=torch.float64)
        for start in range(0, len(rows), BATCH_SIZE):
            batch = np.sort(rows[start : start + BATCH_SIZE])
            mine = torch.from_numpy(np.array_split(batch, self._ranks.size)[self._ranks.rank])
            labels = self._y[mine]
            logits = self._model(self._x[mine].float().div_(255))
            loss = self._loss(logits, labels)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            with torch.no_grad():
                sums[0] += loss * len(mine)
                sums[1] += (logits.argmax(1) == labels).sum()
        torch.distributed.all_reduce(sums)
        loss_sum, right = (sums / len(rows)).tolist()
        return loss_sum, right


if __name__ == "__main__":
    run(measure)
