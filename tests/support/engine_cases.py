"""The same small model in each engine that is installed here: what the contract of engines is tested with."""

import importlib.util
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from distfit import JaxModel, KerasModel, Model, Sequential, TorchModel, layers, utils
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


def jax_model(comm: Communicator, *, frozen: bool = False) -> Model:
    """Return it as a function of JAX, in double precision."""
    import jax
    import jax.numpy as jnp

    from distfit.engines.jax import dropout, mean_over_batch

    utils.set_random_seed(9)
    jax.config.update("jax_enable_x64", True)
    generator = np.random.default_rng(9)
    params = {
        "first": {"kernel": generator.normal(size=(FEATURES, HIDDEN)) / 2},
        "last": {"bias": np.zeros(CLASSES), "kernel": generator.normal(size=(HIDDEN, CLASSES)) / 2},
    }
    averages = {"mean": np.zeros(HIDDEN), "variance": np.ones(HIDDEN)}

    def apply(params: Any, x: Any, *, state: Any, training: bool, rng: Any) -> Any:
        h = x @ params["first"]["kernel"]
        if training:
            mean = mean_over_batch(h)
            variance = mean_over_batch((h - mean) ** 2)
            new = {"mean": mean, "variance": variance}
            moved = {name: 0.9 * state[name] + 0.1 * jax.lax.stop_gradient(new[name]) for name in state}
        else:
            mean, variance, moved = state["mean"], state["variance"], state
        h = jax.nn.relu((h - mean) / jnp.sqrt(variance + 1e-3))
        return dropout(rng, 0.3, h) @ params["last"]["kernel"] + params["last"]["bias"], moved

    trainable = (lambda name: not name.startswith("first")) if frozen else None
    return JaxModel(apply, params, state=averages, trainable=trainable, comm=comm)


def keras_model(comm: Communicator, *, frozen: bool = False) -> Model:
    """Return it in Keras's layers, in double precision."""
    import jax
    import keras

    jax.config.update("jax_enable_x64", True)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    utils.set_random_seed(9)
    keras.utils.set_random_seed(9)
    first = keras.layers.Dense(HIDDEN, use_bias=False, name="first")
    last = keras.layers.Dense(CLASSES, name="last")
    rest = [
        keras.layers.BatchNormalization(name="normal"),
        keras.layers.ReLU(),
        keras.layers.Dropout(0.3, name="drop"),
    ]
    model = keras.Sequential([keras.Input((FEATURES,)), first, *rest, last], name="small")
    first.trainable = not frozen
    return KerasModel(model, comm=comm)


ENGINES: dict[str, Build] = {"numpy": numpy_model}
if importlib.util.find_spec("torch"):
    ENGINES["torch"] = torch_model
if importlib.util.find_spec("jax"):
    ENGINES["jax"] = jax_model
if importlib.util.find_spec("keras") and os.environ.get("KERAS_BACKEND") == "jax":
    ENGINES["keras"] = keras_model

MESSAGES_OF_STEP = {"numpy": 2 + 2, "torch": 2 + 2, "jax": 1 + 4 + 1, "keras": 1 + 4 + 1}
"""Of each: the step's own, and that of an update of which each rank makes a part; those of batch normalization; and one
for state that a function has changed."""


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
