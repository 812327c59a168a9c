"""Data of which each rank holds its own part."""

from typing import Any


class LocalPart:
    """Says that the data differ between ranks: each holds its own, unequal, perhaps empty part.

    Of arrays, the data set is the concatenation of the parts in rank order, and global batches are drawn from all of
    it: the answer is that of one rank which holds the whole. Of an iterable, the global batch is what all ranks bring,
    and the epoch ends when no rank has a next one.

    Args:
        data: arrays, a tuple or dict of them, or an iterable of batches.

    Example:
        >>> import numpy as np
        >>> from distfit import Sequential, data, layers
        >>> model = Sequential([layers.Dense(1, input_shape=(2,))])
        >>> model.compile(loss="mse")
        >>> mine = np.ones((10, 2)), np.ones((10, 1))   # on each rank its own rows
        >>> history = model.fit(data.LocalPart(mine[0]), data.LocalPart(mine[1]), batch_size=4, verbose=0)
        >>> len(history.history["loss"])
        1
    """

    def __init__(self, data: Any) -> None:
        self.data = data
