"""What was taken for what: counts of pairs of true and predicted classes."""

from typing import Any

import numpy as np

from distfit.metrics.division import divide_no_nan
from distfit.metrics.metric import Metric
from distfit.metrics.statistic import Direction, Field, State
from distfit.utils.targets import class_labels, same_rank


class ConfusionMetric(Metric):
    """Base of metrics whose state is the confusion matrix.

    Args:
        num_classes: how many classes there are.
        name: its key in logs.
        sparse_y_true: whether targets are class labels, or one-hot.
        sparse_y_pred: whether predictions are class labels, or scores of classes, of which the largest
            counts.
        direction: ``"max"`` where larger is better, for callbacks that monitor it.

    Raises:
        ValueError: if `num_classes` is not positive.

    Ranks: local.
    """

    def __init__(
        self, num_classes: int, name: str, sparse_y_true: bool, sparse_y_pred: bool, direction: Direction
    ) -> None:
        super().__init__(name, direction)
        if num_classes < 1:
            raise ValueError(f"num_classes is at least 1. Received: {num_classes!r}")
        self.num_classes = num_classes
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.fields = {"counts": Field((num_classes, num_classes))}

    def measure(self, y_true: Any, y_pred: Any, sample_weight: np.ndarray | None) -> State:
        """Return the weights of rows by true and predicted class.

        Raises:
            ValueError: if targets and predictions do not pair, or a class is out of range.
        """
        predicted = y_pred if self.sparse_y_pred else y_pred.argmax(axis=-1)
        true = same_rank(y_true if self.sparse_y_true else y_true.argmax(axis=-1), predicted)
        if true.shape != predicted.shape:
            raise ValueError(
                f"{self.name} compares one true class with one predicted class: for scores of classes, give"
                " sparse_y_pred=False, for one-hot targets sparse_y_true=False."
                f" Received: y_true of shape {np.shape(y_true)}, y_pred of shape {np.shape(y_pred)}"
            )
        pairs = self._labels(true) * self.num_classes + self._labels(predicted)
        if sample_weight is not None:
            sample_weight = np.repeat(sample_weight, true.size // max(len(true), 1))
        counts = np.bincount(pairs, sample_weight, self.num_classes**2)
        return {"counts": counts.reshape(self.num_classes, self.num_classes)}

    def _labels(self, classes: np.ndarray) -> np.ndarray:
        return class_labels(classes, classes.shape, self.num_classes)


class ConfusionMatrix(ConfusionMetric):
    """Counts of rows by true class and predicted class.

    The result is an array ``(num_classes, num_classes)``: element ``[i, j]`` counts what is i and was
    predicted as j.

    Args:
        num_classes: how many classes there are.
        name: its key in logs.
        sparse_y_true: whether targets are class labels, or one-hot.
        sparse_y_pred: whether predictions are class labels, or scores of classes, of which the largest
            counts: the output of a softmax, for which give False.

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.ConfusionMatrix(2)
        >>> metric.update_state([0, 0, 1, 1], [0, 1, 1, 1])
        >>> metric.result().tolist()
        [[1.0, 1.0], [0.0, 2.0]]
    """

    def __init__(
        self,
        num_classes: int,
        name: str = "confusion_matrix",
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
    ) -> None:
        super().__init__(num_classes, name, sparse_y_true, sparse_y_pred, direction="max")

    def compute(self, state: State) -> np.ndarray:
        """Return the counts."""
        return np.array(state["counts"])


class MeanIoU(ConfusionMetric):
    """The mean over classes of intersection over union, ``tp / (tp + fp + fn)`` (Jaccard, 1912).

    Classes that neither targets nor predictions have are left out of the mean.

    Args:
        num_classes: how many classes there are.
        name: its key in logs.
        sparse_y_true: whether targets are class labels, or one-hot.
        sparse_y_pred: whether predictions are class labels, or scores of classes, of which the largest
            counts: the output of a softmax, for which give False.

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.MeanIoU(num_classes=2)
        >>> metric.update_state([0, 0, 1, 1], [0, 1, 0, 1])
        >>> round(metric.result(), 6)
        0.333333
    """

    def __init__(
        self,
        num_classes: int,
        name: str = "mean_io_u",
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
    ) -> None:
        super().__init__(num_classes, name, sparse_y_true, sparse_y_pred, direction="max")

    def compute(self, state: State) -> float:
        """Return the mean over the classes that occur."""
        counts = state["counts"]
        intersection = np.diagonal(counts)
        union = counts.sum(axis=0) + counts.sum(axis=1) - intersection
        occurring = np.count_nonzero(union)
        return float(divide_no_nan(intersection, union).sum() / occurring) if occurring else 0.0
