"""Metrics that are the mean of a value that each row has."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from distfit.metrics.mean import mean_of, mean_state
from distfit.metrics.metric import Metric
from distfit.metrics.statistic import Direction, Field, State
from distfit.utils.targets import same_rank


class MeanMetric(Metric):
    """Base of metrics that are the mean over rows, weighted where weights are given: ``sum(w v) / sum(w)``.

    Ranks: local.
    """

    def __init__(self, name: str, direction: Direction) -> None:
        super().__init__(name, direction)
        self.fields = {"total": Field(), "count": Field()}

    @abstractmethod
    def values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Return the value of each row, ``(rows, ...)``; further axes are averaged. Pure."""

    def measure(self, y_true: Any, y_pred: Any, sample_weight: np.ndarray | None) -> State:
        """Return the total of the values, and their count or the weights' sum."""
        return mean_state(self.values(y_true, y_pred), sample_weight)

    def compute(self, state: State) -> float:
        """Return ``total / count``."""
        return mean_of(state)


class MeanMetricWrapper(MeanMetric):
    """The mean of what a function returns for each row: what `compile` makes of a plain function.

    Args:
        fn: takes targets and predictions, ``(rows, ...)``, and returns ``(rows, ...)``, never their mean.
        name: its key in logs. Defaults to the function's name.
        direction: ``"max"`` where larger is better, for callbacks that monitor it.

    Example:
        >>> import numpy as np
        >>> from distfit import metrics
        >>> def bias(y_true, y_pred):
        ...     return y_pred - y_true
        >>> metric = metrics.MeanMetricWrapper(bias)
        >>> metric.update_state([1.0, 2.0], [1.5, 2.5])
        >>> metric.name, metric.result()
        ('bias', 0.5)
    """

    def __init__(
        self, fn: Callable[[Any, Any], Any], name: str | None = None, direction: Direction = "min"
    ) -> None:
        super().__init__(name or str(getattr(fn, "__name__", type(fn).__name__)), direction)
        self.fn = fn

    def values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Return what the function returns.

        Raises:
            ValueError: if that is not of one value a row.
        """
        values = np.asarray(self.fn(same_rank(y_true, y_pred), y_pred))
        if values.shape[:1] != y_pred.shape[:1]:
            raise ValueError(
                f"{self.name} has to return one value for each of {len(y_pred)} rows, and not their mean,"
                f" which distfit takes over all ranks. Received: values of shape {values.shape}"
            )
        return values
