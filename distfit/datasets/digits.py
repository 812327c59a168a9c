"""Handwritten digits: 1,797 pictures of 8 x 8 pixels, which come with distfit (Alpaydin & Kaynak, 1998)."""

from importlib import resources

import numpy as np

from distfit.data import node_shared

_TRAIN_ROWS = 1500


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return the pictures and their classes, which are the digits.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: 1,500 and 297 rows, uint8. A picture has shape (8, 8)
        and values from 0 (background) to 16. Read-only; ``.copy()`` is not.

    Ranks: local; those of a node share one copy.

    Example:
        >>> from distfit.datasets import digits
        >>> (x_train, y_train), (x_test, y_test) = digits.load_data()
        >>> x_train.shape, y_test.shape, int(x_train.max())
        ((1500, 8, 8), (297,), 16)
    """
    x, y = node_shared(_read, name=__name__)
    return (x[:_TRAIN_ROWS], y[:_TRAIN_ROWS]), (x[_TRAIN_ROWS:], y[_TRAIN_ROWS:])


def _read() -> tuple[np.ndarray, np.ndarray]:
    with resources.files("distfit.datasets").joinpath("digits.npz").open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        return arrays["x"], arrays["y"]
