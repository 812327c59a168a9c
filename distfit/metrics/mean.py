"""The mean and the sum of plain values, such as losses that a custom loop has computed."""

from typing import Any

import numpy as np

from distfit.metrics.metric import row_weights
from distfit.metrics.statistic import Field, State, Statistic


class Mean(Statistic):
    """The mean of values, weighted where weights are given: ``sum(w v) / sum(w)``.

    Args:
        name: its key in logs.

    Ranks: local. In the logs of a custom loop it becomes the mean over the values of all ranks.

    Example:
        >>> from distfit import metrics
        >>> mean = metrics.Mean()
        >>> mean.update_state([1.0, 3.0, 5.0, 7.0])
        >>> mean.result()
        4.0
    """

    def __init__(self, name: str = "mean") -> None:
        super().__init__(name)
        self.fields = {"total": Field(), "count": Field()}

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values, as in Keras.

        Args:
            values: one number, or ``(rows, ...)``; further axes are averaged.
            sample_weight: one weight a row, or one for all. Defaults to ones.

        Raises:
            ValueError: if the number of weights is another.
        """
        rows = np.atleast_1d(values)
        self.add(mean_state(rows, row_weights(sample_weight, len(rows))))

    def compute(self, state: State) -> float:
        """Return ``total / count``."""
        return mean_of(state)


class Sum(Statistic):
    """The sum of values, weighted where weights are given: ``sum(w v)``.

    Args:
        name: its key in logs.

    Ranks: local. In the logs of a custom loop it becomes the sum over the values of all ranks.

    Example:
        >>> from distfit import metrics
        >>> total = metrics.Sum()
        >>> total.update_state([1.0, 3.0], sample_weight=[1.0, 0.5])
        >>> total.result()
        2.5
    """

    def __init__(self, name: str = "sum") -> None:
        super().__init__(name)
        self.fields = {"total": Field()}

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values, as in Keras.

        Args:
            values: one number, or ``(rows, ...)``; further axes are summed.
            sample_weight: one weight a row, or one for all. Defaults to ones.

        Raises:
            ValueError: if the number of weights is another.
        """
        rows = np.atleast_1d(values)
        totals = rows.reshape(len(rows), -1).sum(axis=1, dtype=np.float64) if rows.size else rows.reshape(-1)
        weights = row_weights(sample_weight, len(rows))
        self.add({"total": totals.sum() if weights is None else totals @ weights})

    def compute(self, state: State) -> float:
        """Return the total."""
        return float(state["total"])


def mean_state(values: np.ndarray, weights: np.ndarray | None) -> State:
    """Return what rows contribute to a mean: ``total`` and ``count``, of float64.

    Args:
        values: ``(rows, ...)``; a row's value is the mean over the further axes.
        weights: ``(rows,)``, or None for ones.
    """
    rows = len(values)
    is_flat = values.size == rows
    values = values.reshape(rows) if is_flat else values.reshape(rows, -1).mean(axis=1, dtype=np.float64)
    if weights is None:
        total = np.count_nonzero(values) if values.dtype == bool else values.sum(dtype=np.float64)
        return {"total": np.float64(total), "count": np.float64(rows)}
    return {"total": values @ weights, "count": weights.sum()}


def mean_of(state: State) -> float:
    """Return ``total / count`` of such a state, and 0.0 for no rows."""
    return float(state["total"] / state["count"]) if state["count"] else 0.0
