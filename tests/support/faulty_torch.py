"""The small training of `faulty`, with a module of PyTorch: its pieces tell the same places."""

from functools import partial
from typing import Any

import torch
from support import faulty
from torch import nn

import distfit
from distfit import utils
from distfit.comm import Communicator
from distfit.engines.torch import TorchEngine


class _Passed(torch.autograd.Function):
    """Passes values on, and gradients back."""

    @staticmethod
    def forward(context: Any, x: torch.Tensor, place: str) -> torch.Tensor:
        context.place = place
        faulty.at(f"forward {place}")
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, dy: torch.Tensor) -> tuple[torch.Tensor, None]:
        faulty.at(f"backward {context.place}")
        return dy, None


class Mark(nn.Module):
    """Passes its input on."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place
        faulty.at("constructor")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _Passed.apply(x, self.place)


def half_square(y_pred: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return half the squared error of each row."""
    faulty.at("loss")
    return 0.5 * torch.square(y_pred - y).sum(dim=1)


class Descent(torch.optim.SGD):
    def step(self, *arguments: Any) -> Any:
        faulty.at("optimizer update")
        return super().step(*arguments)


class Model(distfit.Model):
    def train_step(self, batch: Any) -> Any:
        faulty.at("train_step")
        return super().train_step(batch)


def model(comm: Communicator | None = None) -> Model:
    """Return a compiled model that is made of these parts."""
    utils.set_random_seed(1)
    torch.manual_seed(1)
    module = nn.Sequential(
        nn.Linear(2, 4),
        Mark("before BatchNormalization"),
        nn.BatchNorm1d(4),
        Mark("after BatchNormalization"),
        nn.Linear(4, 1),
    )
    made = Model(engine=TorchEngine(module), comm=comm)
    made.compile(optimizer=partial(Descent, lr=0.01), loss=half_square, metrics=[faulty.error])
    return made
