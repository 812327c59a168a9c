"""What is measured: a network on pictures, of the same kind and size everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from distfit import Sequential, datasets, layers, losses, utils
from distfit.comm import Communicator

BATCH_SIZE = 256
HIDDEN = (512, 512)
WIDE = (1024, 1024)
DENSE = {"784-512-512-10": HIDDEN, "784-1024-1024-10": WIDE}
CHANNELS = (32, 64)
CLASSES = 10

Rows = tuple[np.ndarray, np.ndarray]


def load() -> tuple[Rows, Rows]:
    """Return training and test rows of Fashion-MNIST, or random bytes in its shape where it is not to be had."""
    try:
        return datasets.fashion_mnist.load_data()
    except datasets.DatasetUnavailable:
        return noise(60_000, seed=0), noise(10_000, seed=1)


def noise(rows: int, seed: int) -> Rows:
    """Return random bytes and classes."""
    generator = np.random.default_rng(seed)
    return (
        generator.integers(0, 256, (rows, 28, 28), np.uint8),
        generator.integers(0, CLASSES, rows, np.uint8),
    )


def network(comm: Communicator, hidden: tuple[int, ...] = HIDDEN, **compile_options: Any) -> Sequential:
    """Return the network, compiled for Adam and the cross-entropy of logits, with equal weights on all ranks.

    Ranks: local.
    """
    dense = [layers.Dense(units, activation="relu") for units in hidden]
    return _compiled(comm, [layers.Flatten(), *dense], **compile_options)


def convolutional(comm: Communicator) -> Sequential:
    """Return a network of two convolutions, compiled like `network`.

    Ranks: local.
    """
    convolutions = [
        part
        for channels in CHANNELS
        for part in (layers.Conv2D(channels, 3, activation="relu"), layers.MaxPooling2D(2))
    ]
    return _compiled(comm, [layers.Reshape((28, 28, 1)), *convolutions, layers.Flatten()])


def _compiled(comm: Communicator, parts: list[layers.Layer], **options: Any) -> Sequential:
    utils.set_random_seed(0)
    model = Sequential(
        [layers.Rescaling(1 / 255, input_shape=(28, 28)), *parts, layers.Dense(CLASSES)], comm=comm
    )
    model.compile(
        optimizer="adam",
        loss=losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        **options,
    )
    return model
