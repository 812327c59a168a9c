"""A metric: a statistic of targets and predictions."""

from abc import abstractmethod
from typing import Any

import numpy as np

from distfit.metrics.statistic import State, Statistic

__all__ = ["Metric", "State", "row_weights"]


class Metric(Statistic):
    """Base of all metrics that `compile` takes, a user's own included.

    A metric says what its state is (`fields`), what rows contribute to it (`measure`) and what it means
    (`compute`); how states merge, `Statistic` says.

    Args:
        name: its key in logs.
        direction: ``"max"`` where larger is better, for callbacks that monitor it.

    Attributes:
        fields: the state's arrays by name, of float64. To be set in the constructor, or in `build` where
            their shape depends on the model's output.

    Ranks: local.

    Example:
        >>> import numpy as np
        >>> from distfit import metrics
        >>> class Largest(metrics.Metric):
        ...     def __init__(self, name="largest"):
        ...         super().__init__(name, direction="min")
        ...         self.fields = {"error": metrics.Field((), "max")}
        ...     def measure(self, y_true, y_pred, sample_weight):
        ...         return {"error": np.abs(y_true - y_pred).max()}
        ...     def compute(self, state):
        ...         return float(state["error"])
        >>> metric = Largest()
        >>> metric.update_state(np.array([1.0, 2.0]), np.array([1.5, 2.0]))
        >>> metric.result()
        0.5
    """

    def build(self, output_shape: tuple[int, ...]) -> None:
        """Set the fields whose shape depends on the model's output.

        Args:
            output_shape: of one row of the predictions.

        Ranks: local; called by `get` where the shape is known, and by the first `update_state`.
        """

    @abstractmethod
    def measure(self, y_true: Any, y_pred: Any, sample_weight: np.ndarray | None) -> State:
        """Return what these rows contribute: an array, or a number, for each field. Pure.

        Args:
            y_true: targets, ``(rows, ...)``.
            y_pred: predictions, ``(rows, ...)``.
            sample_weight: ``(rows,)``, or None for ones.

        Ranks: local, and not called on a rank without rows.
        """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add rows, as in Keras.

        Args:
            y_true: targets, ``(rows, ...)``.
            y_pred: predictions, ``(rows, ...)``.
            sample_weight: one weight a row, or one for all. Defaults to ones.

        Raises:
            ValueError: if the number of weights is another.
        """
        y_pred = np.asarray(y_pred)
        if self._state is None:
            self.build(y_pred.shape[1:])
        self.add(self.measure(np.asarray(y_true), y_pred, row_weights(sample_weight, len(y_pred))))


def row_weights(sample_weight: Any, rows: int) -> np.ndarray | None:
    """Return weights as ``(rows,)`` float64; None stays None.

    Args:
        sample_weight: one number for each row, in one axis or as a column, or one for all.
        rows: how many there are.

    Raises:
        ValueError: if their number is another.
    """
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight, np.float64)
    if weights.ndim == 0:
        return np.full(rows, weights)
    if weights.size != rows:
        raise ValueError(f"sample_weight holds one number for each of {rows} rows. Received: {weights.shape}")
    return weights.reshape(rows)
