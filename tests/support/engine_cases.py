"""The same small model in each engine that is installed here: what the contract of engines is tested with."""

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from distfit import Model, Sequential, TorchModel, layers, utils
from distfit.comm import Communicator

FEATURES, HIDDEN, CLASSES = 4, 6, 3

Build = Callable[..., Model]


def numpy_model(comm: Communicator, *, frozen: bool = False) -> Model:
    """Return it in distfit's own layers."""
    utils.set_random_seed(9)
    first = layers.Dense(HIDDEN, use_bias=False, input_shape=(FEATURES,), trainable=not frozen)
    rest = [
        layers.BatchNormalization(),
        layers.Activation("relu"),
        layers.Dropout(0.3),
        layers.Dense(CLASSES),
    ]
    return Sequential([first, *rest], comm=comm)


def torch_model(comm: Communicator, *, frozen: bool = False) -> Model:
    """Return it in PyTorch's, in double precision."""
    import torch
    from torch import nn

    utils.set_random_seed(9)
    torch.manual_seed(9)
    module = nn.Sequential(
        nn.Linear(FEATURES, HIDDEN, bias=False),  # which BatchNorm would take away again
        nn.BatchNorm1d(HIDDEN),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(HIDDEN, CLASSES),
    ).double()
    for parameter in module[0].parameters():
        parameter.requires_grad = not frozen
    return TorchModel(module, comm=comm)


ENGINES: dict[str, Build] = {"numpy": numpy_model}
if importlib.util.find_spec("torch"):
    ENGINES["torch"] = torch_model


def rows(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows in float64, and classes that can be learned from them."""
    generator = np.random.default_rng(4)
    y = generator.integers(0, CLASSES, count)
    x = generator.normal(size=(count, FEATURES))
    x[np.arange(count), y] += 1.5
    return x, y


def first_kernel(model: Model) -> Any:
    """Return the weights of the first layer, which `frozen` freezes."""
    return model.get_weights()[0]
