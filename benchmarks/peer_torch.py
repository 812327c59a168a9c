"""`fit` against PyTorch's DistributedDataParallel over gloo: the same network, rows and update."""

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
from benchmarks.workload import BATCH_SIZE, CLASSES, HIDDEN, network


def measure(job: Job) -> list[Figure]:
    """Return the ratio of both loops' times, and PyTorch's speed.

    Ranks: every rank of the job.
    """
    x, y = job.training
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        meet(job.ranks, Path(folder))
        theirs = TorchLoop(x, y, job.ranks)
        fit = partial(network(job.world).fit, x, y, batch_size=BATCH_SIZE, verbose=0)
        compared = alternate(job.ranks.together(fit), job.ranks.together(theirs.epoch), job.alternations)
        torch.distributed.destroy_process_group()
    size = job.ranks.size
    return [
        Figure("fit / PyTorch DDP", size, compared.ratio, "x", job.alternations, compared.spread),
        Figure("PyTorch DDP", size, len(x) / compared.medians[1], "samples/s", job.alternations),
    ]


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
        x: images, ``(rows, height, width)`` uint8.
        y: classes, ``(rows,)``.
        ranks: of which each trains on an equal part of a batch.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, ranks: Ranks) -> None:
        self._x, self._y = torch.from_numpy(x.copy()), torch.from_numpy(y.astype(np.int64))
        self._ranks = ranks
        self._order = shuffled(len(x))
        self._epochs = 0
        widths = [x[0].size, *HIDDEN]
        hidden = [
            layer
            for inputs, units in itertools.pairwise(widths)
            for layer in (nn.Linear(inputs, units), nn.ReLU())
        ]
        torch.manual_seed(0)
        self._model = DistributedDataParallel(
            nn.Sequential(nn.Flatten(), *hidden, nn.Linear(widths[-1], CLASSES))
        )
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
