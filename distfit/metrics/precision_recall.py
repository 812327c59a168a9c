"""Which of the predicted positives are true, and which of the true ones are predicted."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from distfit.metrics.division import divide_no_nan
from distfit.metrics.metric import Metric
from distfit.metrics.statistic import Field, State
from distfit.utils.targets import aligned


class ThresholdedMetric(Metric):
    """Base of metrics of predictions that are positive above a threshold, or the largest of their row.

    Args:
        thresholds: one, or several, in [0, 1]; the result is an array where there are several. Defaults to
            0.5, or with `top_k` to none.
        top_k: count as positive only the k largest predictions of a row.
        class_id: of which output, where not of all.
        name: its key in logs.

    Raises:
        ValueError: for thresholds outside [0, 1], or a `top_k` that is not positive.

    Ranks: local.
    """

    def __init__(
        self,
        thresholds: float | Sequence[float] | None,
        top_k: int | None,
        class_id: int | None,
        name: str,
    ) -> None:
        super().__init__(name, direction="max")
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k is how many predictions of a row count, at least 1. Received: {top_k}")
        default = 0.5 if top_k is None else -np.inf
        self.thresholds = np.atleast_1d(np.array(default if thresholds is None else thresholds, np.float64))
        if thresholds is not None and not np.all((self.thresholds >= 0) & (self.thresholds <= 1)):
            raise ValueError(f"thresholds are numbers from 0 to 1. Received: {thresholds!r}")
        self.top_k = top_k
        self.class_id = class_id
        shape = self.thresholds.shape
        self.fields = {
            name: Field(shape) for name in ("true_positives", "false_positives", "false_negatives")
        }

    def measure(self, y_true: Any, y_pred: Any, sample_weight: np.ndarray | None) -> State:
        """Return the weights of true positives, false positives and false negatives, for each threshold."""
        targets = aligned(y_true, y_pred)
        scores = y_pred if self.top_k is None else _only_top_k(y_pred, self.top_k)
        if self.class_id is not None:
            targets, scores = targets[..., self.class_id], scores[..., self.class_id]
        flat = scores.reshape(-1)
        # Thresholds in the predictions' own type: a float32 of 0.7 is not above a float64 of 0.7.
        thresholds = self.thresholds.astype(flat.dtype if flat.dtype.kind == "f" else np.float64)
        predicted = flat > thresholds[:, np.newaxis]
        weights = np.ones(len(y_pred)) if sample_weight is None else sample_weight
        weights = np.repeat(weights, flat.size // max(len(y_pred), 1))
        positives = np.where(targets.reshape(-1).astype(bool), weights, 0.0)
        true_positives = predicted @ positives
        return {
            "true_positives": true_positives,
            "false_positives": predicted @ (weights - positives),
            "false_negatives": positives.sum() - true_positives,
        }


class Precision(ThresholdedMetric):
    """The share of predicted positives that are true: ``tp / (tp + fp)``; 0.0 where none is predicted.

    Args:
        thresholds: one, or several, in [0, 1]; the result is an array where there are several. Defaults to
            0.5, or with `top_k` to none.
        top_k: count as positive only the k largest predictions of a row.
        class_id: of which output, where not of all.
        name: its key in logs.

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.Precision()
        >>> metric.update_state([0, 1, 1, 1], [0.9, 0.2, 0.8, 0.7])
        >>> round(metric.result(), 6)
        0.666667
    """

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str = "precision",
    ) -> None:
        super().__init__(thresholds, top_k, class_id, name)

    def compute(self, state: State) -> Any:
        """Return ``tp / (tp + fp)`` for each threshold."""
        return _one_or_all(state["true_positives"], state["false_positives"])


class Recall(ThresholdedMetric):
    """The share of true positives that are predicted: ``tp / (tp + fn)``; 0.0 where there are none.

    Args:
        thresholds: one, or several, in [0, 1]; the result is an array where there are several. Defaults to
            0.5, or with `top_k` to none.
        top_k: count as positive only the k largest predictions of a row.
        class_id: of which output, where not of all.
        name: its key in logs.

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.Recall()
        >>> metric.update_state([0, 1, 1, 1], [0.9, 0.2, 0.8, 0.7])
        >>> round(metric.result(), 6)
        0.666667
    """

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str = "recall",
    ) -> None:
        super().__init__(thresholds, top_k, class_id, name)

    def compute(self, state: State) -> Any:
        """Return ``tp / (tp + fn)`` for each threshold."""
        return _one_or_all(state["true_positives"], state["false_negatives"])


def _one_or_all(true_positives: np.ndarray, others: np.ndarray) -> Any:
    shares = divide_no_nan(true_positives, true_positives + others)
    return float(shares[0]) if len(shares) == 1 else shares


def _only_top_k(y_pred: np.ndarray, k: int) -> np.ndarray:
    """Return the predictions, all but the k largest of each row set to -inf; of equals, the first count."""
    largest = np.argsort(-y_pred, axis=-1, kind="stable")[..., :k]
    kept = np.full(y_pred.shape, -np.inf)
    np.put_along_axis(kept, largest, np.take_along_axis(y_pred, largest, axis=-1), axis=-1)
    return kept
