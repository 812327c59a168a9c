"""The optimizer's learning rate, as callbacks read and set it."""

from __future__ import annotations

from typing import Any

from distfit.callbacks.callback import Logs

KEY = "learning_rate"


def read(model: Any) -> float:
    """Return the learning rate of the next update.

    Ranks: local.
    """
    return float(model.optimizer.learning_rate)


def log(model: Any, logs: Logs | None) -> None:
    """Add the learning rate to the logs of an epoch, from where it reaches the history and files.

    Ranks: local, on all ranks alike.
    """
    if logs is not None:
        logs[KEY] = read(model)


def require_settable(model: Any) -> None:
    """Raise where the learning rate cannot be set, before anything was trained for nothing.

    Raises:
        TypeError: if a schedule gives it. The optimizer itself says so, to whoever sets a number.

    Ranks: local.
    """
    model.optimizer.learning_rate = read(model)
