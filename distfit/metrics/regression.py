"""How far predicted numbers are from their targets."""

import math
from typing import Any

import numpy as np

from distfit.metrics.mean import mean_of, mean_state
from distfit.metrics.mean_metric import MeanMetric
from distfit.metrics.metric import Metric
from distfit.metrics.statistic import Field, State
from distfit.utils.targets import floating, like_predictions


class MeanSquaredError(MeanMetric):
    """The mean of ``(y_pred - y_true)**2``.

    Args:
        name: its key in logs.

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.MeanSquaredError()
        >>> metric.update_state([[0, 1], [0, 0]], [[1, 1], [0, 0]])
        >>> metric.result()
        0.25
    """

    def __init__(self, name: str = "mean_squared_error") -> None:
        super().__init__(name, direction="min")

    def values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Return the squared errors."""
        squares: np.ndarray = np.square(_errors(y_true, y_pred))
        return squares


class RootMeanSquaredError(Metric):
    """The square root of the mean of ``(y_pred - y_true)**2``.

    Args:
        name: its key in logs.

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.RootMeanSquaredError()
        >>> metric.update_state([[0, 1], [0, 0]], [[1, 1], [0, 0]])
        >>> metric.result()
        0.5
    """

    def __init__(self, name: str = "root_mean_squared_error") -> None:
        super().__init__(name, direction="min")
        self.fields = {"total": Field(), "count": Field()}

    def measure(self, y_true: Any, y_pred: Any, sample_weight: np.ndarray | None) -> State:
        """Return the total of the squared errors, and their count or the weights' sum."""
        return mean_state(np.square(_errors(y_true, y_pred)), sample_weight)

    def compute(self, state: State) -> float:
        """Return ``sqrt(total / count)``: the root is taken once, of the mean over all rows."""
        return math.sqrt(mean_of(state))


class MeanAbsoluteError(MeanMetric):
    """The mean of ``|y_pred - y_true|``.

    Args:
        name: its key in logs.

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.MeanAbsoluteError()
        >>> metric.update_state([[0, 1], [0, 0]], [[1, 1], [0, 0]])
        >>> metric.result()
        0.25
    """

    def __init__(self, name: str = "mean_absolute_error") -> None:
        super().__init__(name, direction="min")

    def values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Return the absolute errors."""
        distances: np.ndarray = np.abs(_errors(y_true, y_pred))
        return distances


def _errors(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    predictions = floating(y_pred)
    errors: np.ndarray = predictions - like_predictions(y_true, predictions)
    return errors
