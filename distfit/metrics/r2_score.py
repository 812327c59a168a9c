"""The coefficient of determination."""

from typing import Any

import numpy as np

from distfit.metrics.metric import Metric
from distfit.metrics.statistic import Field, State
from distfit.utils.targets import aligned

_AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")


class R2Score(Metric):
    """The share of the targets' variance that predictions explain.

    It is ``1 - sum((y - p)**2) / sum((y - mean(y))**2)``, from sums of float64 that need no second look at
    the rows. Where the targets' mean is larger than their spread by six or more orders of magnitude,
    standardise them first. Of targets that do not vary it is 1.0 if predictions are exact, else 0.0, as in
    scikit-learn.

    Args:
        class_aggregation: over outputs: ``"uniform_average"``, ``"variance_weighted_average"``, or None for
            an array.
        num_regressors: the number of a linear model's inputs p, for the adjusted score
            ``1 - (1 - R2) (n - 1) / (n - p - 1)`` (Theil, 1961); 0 for the plain one, which also stands where
            rows are too few.
        name: its key in logs.

    Raises:
        ValueError: for another aggregation, or a negative number of regressors.

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.R2Score()
        >>> metric.update_state([[1], [4], [3]], [[2], [4], [4]])
        >>> round(metric.result(), 6)
        0.571429
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
    ) -> None:
        super().__init__(name, direction="max")
        if class_aggregation not in _AGGREGATIONS:
            raise ValueError(f"class_aggregation is one of {_AGGREGATIONS}. Received: {class_aggregation!r}")
        if num_regressors < 0:
            raise ValueError(f"num_regressors is the number of inputs, 0 or more. Received: {num_regressors}")
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.build((1,))

    def build(self, output_shape: tuple[int, ...]) -> None:
        """Set the fields: sums for each output."""
        outputs = output_shape[-1:] or (1,)
        self.fields = {
            "squared_errors": Field(outputs),
            "total": Field(outputs),
            "squares": Field(outputs),
            "count": Field(),
        }

    def measure(self, y_true: Any, y_pred: Any, sample_weight: np.ndarray | None) -> State:
        """Return the sums of errors squared, of targets, of targets squared, and of weights."""
        outputs = self.fields["total"].shape[0]
        targets = np.asarray(aligned(y_true, y_pred), np.float64).reshape(-1, outputs)
        errors = np.asarray(y_pred, np.float64).reshape(-1, outputs) - targets
        weights = np.ones(len(y_pred)) if sample_weight is None else sample_weight
        weights = np.repeat(weights, len(targets) // max(len(y_pred), 1))
        return {
            "squared_errors": weights @ np.square(errors),
            "total": weights @ targets,
            "squares": weights @ np.square(targets),
            "count": weights.sum(),
        }

    def compute(self, state: State) -> Any:
        """Return the score, aggregated over outputs."""
        count = float(state["count"])
        if count == 0:
            return np.zeros(self.fields["total"].shape) if self.class_aggregation is None else 0.0
        errors, squares = state["squared_errors"], state["squares"]
        variation = squares - np.square(state["total"]) / count
        # Below the rounding error of its own terms, the variation is none.
        varies = variation > 8 * np.finfo(np.float64).eps * squares
        constant = np.where(errors <= 8 * np.finfo(np.float64).eps * squares, 1.0, 0.0)
        scores = np.where(varies, 1 - errors / np.where(varies, variation, 1.0), constant)
        if self.class_aggregation is None:
            return self._adjusted(scores, count)
        if self.class_aggregation == "uniform_average" or not varies.any():
            return float(self._adjusted(scores.mean(), count))
        return float(self._adjusted(np.average(scores, weights=np.where(varies, variation, 0.0)), count))

    def _adjusted(self, score: Any, count: float) -> Any:
        freedom = count - self.num_regressors - 1
        if self.num_regressors == 0 or freedom <= 0:
            return score
        return 1 - (1 - score) * (count - 1) / freedom
