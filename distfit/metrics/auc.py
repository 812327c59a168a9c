"""The area under a curve of all thresholds."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from distfit.metrics.division import divide_no_nan
from distfit.metrics.metric import Metric
from distfit.metrics.statistic import Field, State
from distfit.utils.targets import aligned, floating

_CURVES = ("ROC", "PR")
_HEIGHTS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "interpolation": lambda left, right: (left + right) / 2,
    "minoring": np.minimum,
    "majoring": np.maximum,
}
_EPSILON = 1e-7  # Keras's: below the first threshold lies nothing, above the last one everything


class AUC(Metric):
    """The area under the ROC or the precision-recall curve, from counts between thresholds.

    Predictions are counted in the intervals between thresholds, so that the state of rows is a sum, whichever
    rank holds them, and the area is exact up to the order of predictions within one interval.

    Args:
        num_thresholds: how many, evenly spread over [0, 1], both ends included.
        curve: ``"ROC"``: true positive rate over false positive rate; ``"PR"``: precision over recall.
        summation_method: ``"interpolation"``: trapezoids, and for PR the interpolation of Davis and Goadrich
            (2006); ``"minoring"`` and ``"majoring"``: the smaller and the larger side of each interval.
        name: its key in logs.
        thresholds: between 0 and 1, in place of `num_thresholds`.
        from_logits: whether predictions are logits, of which the sigmoid is taken.

    Raises:
        ValueError: for another curve or method, or thresholds that are too few or outside [0, 1].

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.AUC(num_thresholds=3)
        >>> metric.update_state([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
        >>> metric.result()
        0.75
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str = "auc",
        thresholds: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name, direction="max")
        if curve not in _CURVES:
            raise ValueError(f"curve is one of {_CURVES}. Received: {curve!r}")
        if summation_method not in _HEIGHTS:
            raise ValueError(f"summation_method is one of {tuple(_HEIGHTS)}. Received: {summation_method!r}")
        if thresholds is None and num_thresholds < 2:
            raise ValueError(f"num_thresholds is at least 2. Received: {num_thresholds}")
        inner = np.linspace(0, 1, num_thresholds)[1:-1] if thresholds is None else np.sort(thresholds)
        if inner.size and not (inner[0] >= 0 and inner[-1] <= 1):
            raise ValueError(f"thresholds are numbers from 0 to 1. Received: {thresholds!r}")
        self.curve = curve
        self.summation_method = summation_method
        self.from_logits = from_logits
        self.thresholds = np.concatenate([[-_EPSILON], inner, [1 + _EPSILON]])
        intervals = (len(self.thresholds) + 1,)
        self.fields = {"positives": Field(intervals), "negatives": Field(intervals)}

    def measure(self, y_true: Any, y_pred: Any, sample_weight: np.ndarray | None) -> State:
        """Return the weights of positive and of negative targets, by the interval that holds the prediction.

        Raises:
            ValueError: if a prediction lies outside [0, 1].
        """
        positive = aligned(y_true, y_pred).reshape(-1).astype(bool)
        scores = floating(y_pred).reshape(-1)
        # The sigmoid by way of tanh, in which nothing can overflow.
        scores = self._checked((1 + np.tanh(scores / 2)) / 2 if self.from_logits else scores)
        # Thresholds in the predictions' own type: a float32 of 0.7 is not above a float64 of 0.7.
        interval = np.searchsorted(self.thresholds.astype(scores.dtype), scores)
        intervals = len(self.thresholds) + 1
        if sample_weight is None:
            weights = None, None
        else:
            repeated = np.repeat(sample_weight, scores.size // max(len(y_pred), 1))
            weights = repeated[positive], repeated[~positive]
        return {
            "positives": np.bincount(interval[positive], weights[0], intervals),
            "negatives": np.bincount(interval[~positive], weights[1], intervals),
        }

    def compute(self, state: State) -> float:
        """Return the area under the curve."""
        # An entry of these counts what lies above one threshold.
        true_positives = _sum_above(state["positives"])
        false_positives = _sum_above(state["negatives"])
        positives, negatives = state["positives"].sum(), state["negatives"].sum()
        recall = divide_no_nan(true_positives, np.full_like(true_positives, positives))
        if self.curve == "ROC":
            x, y = divide_no_nan(false_positives, np.full_like(false_positives, negatives)), recall
        elif self.summation_method == "interpolation":
            return _interpolated_pr_area(true_positives, false_positives, positives)
        else:
            x, y = recall, divide_no_nan(true_positives, true_positives + false_positives)
        heights = _HEIGHTS[self.summation_method](y[:-1], y[1:])
        return float(((x[:-1] - x[1:]) * heights).sum())

    def _checked(self, scores: np.ndarray) -> np.ndarray:
        """Return predictions, those of NaN as 0: above no threshold, as a comparison says."""
        scores = np.fmax(scores, 0) if np.isnan(scores).any() else scores
        if scores.size and (scores.min() < 0 or scores.max() > 1):
            raise ValueError(
                f"{self.name} takes probabilities, from 0 to 1; for logits, give from_logits=True."
                f" Received: from {scores.min()} to {scores.max()}"
            )
        return scores


def _sum_above(intervals: np.ndarray) -> np.ndarray:
    return intervals[::-1].cumsum()[::-1][1:]


def _interpolated_pr_area(
    true_positives: np.ndarray, false_positives: np.ndarray, positives: np.float64
) -> float:
    """Integrate precision over recall between two thresholds, along which tp and fp grow in proportion.

    There tp is linear in p = tp + fp, ``tp = intercept + slope * p``, so that the integral of ``tp / p`` over
    dtp is ``slope * (dtp + intercept * log(p_high / p_low))`` (Davis and Goadrich, 2006).
    """
    predicted = true_positives + false_positives
    low, high = predicted[1:], predicted[:-1]
    growth = true_positives[:-1] - true_positives[1:]
    slope = divide_no_nan(growth, high - low)
    intercept = true_positives[1:] - slope * low
    # Where nothing is predicted at the higher threshold, the line starts at 0: its intercept is 0.
    ratio = np.where((low > 0) & (high > 0), high / np.where(low > 0, low, 1.0), 1.0)
    areas = slope * (growth + intercept * np.log(ratio))
    return float(areas.sum() / positives) if positives else 0.0
