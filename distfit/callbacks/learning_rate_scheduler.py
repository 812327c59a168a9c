"""Sets the learning rate of each epoch by a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from distfit.callbacks import learning_rate
from distfit.callbacks.callback import Callback, Logs


class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of each epoch.

    Args:
        schedule: ``schedule(epoch, learning_rate)``, or ``schedule(epoch)``: takes the number of the epoch, from 0, and
            the present learning rate, and returns that of the epoch, a float.
        verbose: 1 prints it at each epoch.

    Raises:
        ValueError: at the start of an epoch, if the function returned no float.
        TypeError: at the start of the first one, if a schedule of the optimizer's own gives its learning rate.

    The logs of each epoch get the ``learning_rate``. Whether the function takes one argument or two is read from its
    signature, once. Keras calls it with two, and with one after a `TypeError`; which may have come from within it, and
    is hidden then.

    Example:
        >>> import numpy as np
        >>> from distfit import Sequential, callbacks, layers
        >>> model = Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile(optimizer="sgd", loss="mean_squared_error")
        >>> halve = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
        >>> history = model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=3, callbacks=[halve], verbose=0)
        >>> history.history["learning_rate"]
        [0.01, 0.005, 0.0025]

    Ranks: all; each calls the function. What it draws by chance differs between them: root's holds, with a warning;
        ``on_root(LearningRateScheduler(...))`` calls it on root alone.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _takes_two(schedule)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:  # noqa: ARG002
        present = learning_rate.read(self.model)
        rate: Any = self.schedule(epoch, present) if self._takes_rate else self.schedule(epoch)
        if not isinstance(rate, (float, np.floating)):
            raise ValueError(
                f"the schedule of a LearningRateScheduler returns a float. Received: {rate!r} for epoch {epoch};"
                " float(...) makes it one"
            )
        self.model.optimizer.learning_rate = rate
        if self.verbose:
            self.say(f"Epoch {epoch + 1}: the learning rate is set to {rate:g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:  # noqa: ARG002
        learning_rate.log(self.model, logs)


def _takes_two(schedule: Callable[..., float]) -> bool:
    """Say whether a function can be called with two arguments; one that does not tell is taken to."""
    try:
        signature = inspect.signature(schedule)
    except ValueError:  # some that are written in C have none
        return True
    try:
        signature.bind(0, 0.0)
    except TypeError:
        return False
    return True
