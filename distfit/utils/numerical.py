"""Array helpers under Keras's names."""

from typing import Any

import numpy as np

from distfit import config


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Turn class numbers into one-hot rows.

    Args:
        x: class numbers, integers from 0, of any shape.
        num_classes: the length of a row. Defaults to the largest class number plus one.

    Returns:
        An array of shape ``x.shape + (num_classes,)`` in `config.floatx`.

    Raises:
        ValueError: if a class number is negative or not below `num_classes`.

    Ranks: local. Give `num_classes` where ranks hold different rows.

    Example:
        >>> from distfit import utils
        >>> utils.to_categorical([0, 2]).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    classes = np.asarray(x)
    if classes.ndim > 1 and classes.shape[-1] == 1:
        classes = classes[..., 0]
    classes = classes.astype(np.int64)
    if num_classes is None:
        num_classes = int(classes.max(initial=-1)) + 1
    if classes.size and (classes.min() < 0 or classes.max() >= num_classes):
        raise ValueError(
            f"class numbers have to lie in [0, {num_classes}). "
            f"Received: from {classes.min()} to {classes.max()}"
        )
    return np.asarray(np.eye(num_classes, dtype=config.floatx())[classes])
