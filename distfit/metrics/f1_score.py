"""The harmonic mean of precision and recall."""

from typing import Any

import numpy as np

from distfit.metrics.division import divide_no_nan
from distfit.metrics.metric import Metric
from distfit.metrics.statistic import Field, State
from distfit.utils.targets import aligned

_AVERAGES = (None, "micro", "macro", "weighted")


class F1Score(Metric):
    """The harmonic mean of precision and recall, ``2 tp / (2 tp + fp + fn)`` (van Rijsbergen, 1979).

    Targets are one-hot, or 0 and 1 for each of several labels; one class an output.

    Args:
        average: ``"micro"`` counts all classes together, ``"macro"`` averages the classes' scores,
            ``"weighted"`` weights them with the number of their targets, None returns an array of one score a
            class.
        threshold: above it, a prediction means 1. Defaults to none: then each row's largest prediction does.
        name: its key in logs.

    Raises:
        ValueError: for another average, or a threshold outside (0, 1].

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.F1Score(threshold=0.5)
        >>> y_true = [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
        >>> y_pred = [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]]
        >>> metric.update_state(y_true, y_pred)
        >>> metric.result().round(3).tolist()
        [0.5, 0.8, 0.667]
    """

    def __init__(
        self, average: str | None = None, threshold: float | None = None, name: str = "f1_score"
    ) -> None:
        super().__init__(name, direction="max")
        if average not in _AVERAGES:
            raise ValueError(f"average is one of {_AVERAGES}. Received: {average!r}")
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f"threshold is above 0, and at most 1. Received: {threshold!r}")
        self.average = average
        self.threshold = threshold
        self.build((1,))

    def build(self, output_shape: tuple[int, ...]) -> None:
        """Set the fields: counts for each class."""
        classes = output_shape[-1:] or (1,)
        self.fields = {
            name: Field(classes) for name in ("true_positives", "false_positives", "false_negatives")
        }

    def measure(self, y_true: Any, y_pred: Any, sample_weight: np.ndarray | None) -> State:
        """Return the weights of true positives, false positives and false negatives, for each class.

        Raises:
            ValueError: if there is one output and no threshold: its largest prediction is always that one.
        """
        classes = self.fields["true_positives"].shape[0]
        targets = aligned(y_true, y_pred).reshape(-1, classes).astype(bool)
        weights = np.ones(len(y_pred)) if sample_weight is None else sample_weight
        weights = np.repeat(weights, len(targets) // max(len(y_pred), 1))
        predicted = self._positive(y_pred.reshape(-1, classes))
        true_positives = weights @ (predicted & targets)
        return {
            "true_positives": true_positives,
            "false_positives": weights @ predicted - true_positives,
            "false_negatives": weights @ targets - true_positives,
        }

    def compute(self, state: State) -> Any:
        """Return the score, averaged over classes."""
        right = state["true_positives"]
        missed, false = state["false_negatives"], state["false_positives"]
        if self.average == "micro":
            right, missed, false = right.sum(), missed.sum(), false.sum()
        scores = divide_no_nan(2 * right, 2 * right + false + missed)
        if self.average is None:
            return scores
        if self.average == "weighted":
            support = right + missed
            return float(divide_no_nan((scores * support).sum(), support.sum()))
        return float(scores.mean())

    def _positive(self, scores: np.ndarray) -> np.ndarray:
        if self.threshold is None and scores.shape[-1] == 1:
            raise ValueError(
                f"{self.name} of one output needs a threshold, as its largest prediction is always that one:"
                " give threshold=0.5. Received: threshold=None"
            )
        positive: np.ndarray = (
            scores == scores.max(axis=-1, keepdims=True)
            if self.threshold is None
            else scores > self.threshold
        )
        return positive
