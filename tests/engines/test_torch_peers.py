"""One ConvNet from the same weights: in plain PyTorch, in DistributedDataParallel, and in a TorchModel."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DistributedSampler

import distfit
from distfit.callbacks import Callback
from distfit.comm import Communicator

TRAINED, ROWS, BATCH, EPOCHS = (
    960,
    1003,
    64,
    2,
)  # halves of each batch are equal: else DDP's mean is one of means
generator = np.random.default_rng(0)
LABELS = generator.integers(0, 10, ROWS)
IMAGES = generator.normal(size=(ROWS, 1, 12, 12)).astype("float32")
IMAGES[np.arange(ROWS), 0, LABELS, LABELS] += 3


def conv_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(144, 10),
    )


def losses_of(module: nn.Module, rank: int = 0, size: int = 1) -> list[float]:
    """Train as torch's tutorials do, and return the loss of this rank's part of each batch."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    seen = []
    for _ in range(EPOCHS):
        for start in range(0, TRAINED, BATCH):
            rows = np.array_split(np.arange(start, start + BATCH), size)[rank]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(
                module(torch.from_numpy(IMAGES[rows])), torch.from_numpy(LABELS[rows])
            )
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
    return seen


class Losses(Callback):
    """Notes the loss of each batch, of which logs show the mean so far."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.sum = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.values.append(logs["loss"] * (batch + 1) - self.sum)
        self.sum += self.values[-1]


def right(module: nn.Module, rows: Any) -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(IMAGES[rows])).argmax(1).numpy() == LABELS[rows]


@pytest.mark.ranks(1, 2, 3)
def test_the_loss_curve_and_the_evaluation_are_those_of_one_process(comm: Communicator) -> None:
    module, plain = conv_net(), conv_net()
    model, seen = distfit.TorchModel(module, comm=comm), Losses()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    model.compile(optimizer=optimizer, loss=nn.CrossEntropyLoss(), metrics=["accuracy"])
    data = IMAGES[:TRAINED], LABELS[:TRAINED]
    model.fit(*data, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[seen])
    expected = losses_of(plain)
    np.testing.assert_allclose(seen.values, expected, rtol=1e-5)
    assert expected[-1] < 0.7 * expected[0]  # it did learn
    evaluated = model.evaluate(IMAGES, LABELS, batch_size=BATCH, verbose=0, return_dict=True)
    assert evaluated["accuracy"] == pytest.approx(right(plain, np.arange(ROWS)).mean(), abs=1e-9)


@pytest.mark.ranks(2)
def test_distributed_data_parallel_goes_down_the_same_curve(
    comm: Communicator, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    meeting = comm.broadcast_object(tmp_path / "meeting")
    distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=comm.rank, world_size=comm.size
    )
    try:
        module = DistributedDataParallel(conv_net())
        seen = np.mean(comm.all_gather_object(losses_of(module, comm.rank, comm.size)), axis=0)
        sampler: Any = DistributedSampler(range(ROWS), comm.size, comm.rank, shuffle=False)
        counted = comm.all_gather_object(right(module.module, list(sampler)))
    finally:
        distributed.destroy_process_group()
    plain = copy.deepcopy(conv_net())
    np.testing.assert_allclose(seen, losses_of(plain), rtol=1e-5)
    # It counts the first row twice, so that both ranks have as many.
    assert sum(map(len, counted)) == ROWS + 1
