"""Ends training when the loss is no number any more."""

from __future__ import annotations

import math

from distfit.callbacks.callback import Callback, Logs


class TerminateOnNaN(Callback):
    """Ends training when the loss is NaN or infinite.

    Args:
        raise_error: whether it raises. Otherwise it stops training at this batch: validation and the hooks of the
            epoch's and the training's end still run. After an error they do not, so that what a backup holds is kept.

    Raises:
        RuntimeError: on all ranks, if `raise_error` says so.

    The loss of batch hooks is the mean over all rows of all ranks since the epoch's start: one row that gives NaN, on
    whichever rank, is seen at its batch.

    Example:
        >>> import numpy as np
        >>> from distfit import Sequential, callbacks, layers
        >>> model = Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile(optimizer="sgd", loss="mean_squared_error")
        >>> x, y = np.ones((6, 1)), np.array([[1.0], [1.0], [1.0], [np.nan], [1.0], [1.0]])
        >>> stop = callbacks.TerminateOnNaN()
        >>> history = model.fit(
        ...     x, y, batch_size=2, shuffle=False, epochs=5, callbacks=[stop], verbose=0
        ... )
        Batch 1: the loss is nan, training ends
        >>> history.epoch
        [0]

    Ranks: all; on equal logs. As any batch-end hook it takes one small message a batch.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                f"the loss is {loss} at batch {batch}, and training cannot go on from there. Look for NaN or very large"
                " values in the data, or lower the learning rate"
            )
        self.say(f"Batch {batch}: the loss is {loss}, training ends")
        self.model.stop_training = True
