"""Runs one training at some ranks and at one, and holds what came out side by side."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from distfit import Model, Sequential, config, data, layers
from distfit.comm import Communicator

ROWS, BATCH, CLASSES = 1003, 64, 3
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}


@contextmanager
def floatx(name: str) -> Iterator[None]:
    before = config.floatx()
    config.set_floatx(name)
    try:
        yield
    finally:
        config.set_floatx(before)


def images(rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Return images whose class can be learned: (rows, 8, 8, 1) and labels."""
    generator = np.random.default_rng(5)
    y = generator.integers(0, CLASSES, rows)
    x = generator.normal(size=(rows, 8, 8, 1))
    x[np.arange(rows), y, y, 0] += 2.0
    return x, y


def augmented(rows: np.ndarray, context: data.RowContext) -> np.ndarray:
    """Flip some images and add noise, in training."""
    if not context.training:
        return rows
    flip = context.rng_rows.uniform((1, 1, 1)) < 0.5
    noise = context.rng_rows.normal(rows.shape[1:])
    return np.where(flip, rows[:, :, ::-1], rows) + 0.05 * noise


def mlp(comm: Communicator) -> Model:
    return Sequential(
        [
            layers.Flatten(input_shape=(8, 8, 1)),
            layers.Dense(16, use_bias=False, kernel_initializer="glorot_uniform"),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Dropout(0.3),
            layers.Dense(CLASSES, kernel_regularizer="l2"),
        ],
        comm=comm,
    )


def conv_net(comm: Communicator) -> Model:
    return Sequential(
        [
            layers.Conv2D(4, 3, use_bias=False, input_shape=(8, 8, 1)),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(CLASSES),
        ],
        comm=comm,
    )


Trained = tuple[dict[str, list[float]], list[np.ndarray]]


def assert_same(here: Trained, alone: Trained, tolerance: float) -> None:
    """Compare history and weights; a weight array by its largest entry."""
    history, weights = here
    expected_history, expected_weights = alone
    assert list(history) == list(expected_history)
    for key, values in expected_history.items():
        np.testing.assert_allclose(history[key], values, rtol=tolerance, err_msg=key)
    for weight, expected in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def fitted(model: Model, *args: Any, **kwargs: Any) -> Trained:
    history = model.fit(*args, verbose=0, **kwargs)
    return history.history, model.get_weights()


Build = Callable[[Communicator], Model]
