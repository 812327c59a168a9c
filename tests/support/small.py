"""A small regression that trains in milliseconds."""

from typing import Any

import numpy as np

from distfit import Sequential, layers, utils
from distfit.comm import Communicator


def line(rows: int = 10) -> tuple[np.ndarray, np.ndarray]:
    x = np.linspace(-1.0, 1.0, 2 * rows).reshape(rows, 2)
    return x, x @ np.array([[2.0], [-1.0]]) + 0.5


def regression(comm: Communicator, **compile_options: Any) -> Sequential:
    utils.set_random_seed(7)
    model = Sequential([layers.Dense(4, activation="tanh", input_shape=(2,)), layers.Dense(1)], comm=comm)
    model.compile(**{"optimizer": "sgd", "loss": "mse", "metrics": ["mae"], **compile_options})
    return model
