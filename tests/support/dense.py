"""A chain of dense layers with all that makes an update in parts difficult, and rows for it."""

from typing import Any

import numpy as np

from distfit import layers
from distfit.layers import regularizers

INPUTS = 6


class Whole(regularizers.Regularizer):
    """One whose gradient at an element depends on all of them."""

    def penalty(self, weight: np.ndarray) -> float:
        return 0.01 * float(np.sum(weight)) ** 2

    def gradient(self, weight: np.ndarray) -> np.ndarray:
        return np.full_like(weight, 0.02 * np.sum(weight))


def chain(regularizer: Any = "l2") -> list[layers.Layer]:
    return [
        layers.Dense(37, activation="relu", input_shape=(INPUTS,), kernel_regularizer=regularizer),
        layers.BatchNormalization(),
        layers.Dense(31, activation="tanh"),
        layers.Dropout(0.2),
        layers.Dense(23, activation="tanh", kernel_regularizer=regularizer),
        layers.Dense(1),
    ]


def partly_frozen() -> list[layers.Layer]:
    parts = chain()
    parts[2].trainable = False
    return parts


def rows_of_data(rows: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.normal(size=(rows, INPUTS)), draw.normal(size=(rows, 1))
