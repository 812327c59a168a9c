"""A small classification that PyTorch and distfit begin in the same way: rows and weights out of NumPy's seeds."""

import numpy as np

ROWS, FEATURES, HIDDEN, CLASSES, BATCH, EPOCHS = 203, 6, 16, 3, 32, 5


def clusters() -> tuple[np.ndarray, np.ndarray]:
    """Return rows of three overlapping clusters, and their numbers."""
    generator = np.random.default_rng(12)
    labels = generator.integers(0, CLASSES, ROWS)
    centres = generator.normal(size=(CLASSES, FEATURES))
    return centres[labels] + generator.normal(size=(ROWS, FEATURES)), labels


def first_weights() -> list[np.ndarray]:
    """Return kernels, as (inputs, outputs), and biases of two dense layers."""
    generator = np.random.default_rng(13)
    return [
        0.4 * generator.normal(size=(FEATURES, HIDDEN)),
        0.1 * generator.normal(size=HIDDEN),
        0.3 * generator.normal(size=(HIDDEN, CLASSES)),
        np.zeros(CLASSES),
    ]
