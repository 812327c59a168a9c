"""A loss: its value for each row, and its gradient."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from distfit.utils.configured import Configured

LossBackward = Callable[[np.ndarray | None], np.ndarray]


class Loss(Configured, ABC):
    """Base of all losses.

    A loss is written for rows, never for the mean over a batch: the trainer sums over each rank's rows, adds
    the sums of all ranks and divides once, by the number of rows of the global batch, so that the mean is
    exact whatever the number of ranks.

    Args:
        name: the key under which logs show it where a model has several.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def forward(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, LossBackward]:
        """Compute the loss of each row.

        Args:
            y_true: targets, ``(rows, ...)``.
            y_pred: the model's output, ``(rows, ..., outputs)`` float32 or float64.

        Returns:
            The values, ``y_pred.shape[:-1]`` (each row's, for an output of two dimensions), and a function
            that takes weights of that shape, or None for ones, and returns the gradient of ``sum(weights *
            values)`` by `y_pred`, in its shape and dtype.

        Raises:
            ValueError: if the targets do not fit the output.

        Ranks: local. A rank without rows does not call it.
        """

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """Return the mean over all rows: ``sum(weight * value) / len(value)``, as Keras does.

        Args:
            y_true: targets.
            y_pred: predictions.
            sample_weight: one weight a row. Defaults to ones.
        """
        values, _ = self.forward(np.asarray(y_true), np.asarray(y_pred))
        if sample_weight is not None:
            values = values * np.asarray(sample_weight).reshape(-1, *[1] * (values.ndim - 1))
        return float(values.mean(dtype=np.float64))
