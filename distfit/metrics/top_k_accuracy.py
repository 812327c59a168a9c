"""How often the right class is among the k most likely ones."""

import numpy as np

from distfit.metrics.mean_metric import MeanMetric
from distfit.utils.targets import aligned, class_labels


class TopKCategoricalAccuracy(MeanMetric):
    """How often the right class is among the k largest predictions; targets are one-hot.

    Args:
        k: how many. A tie at the k-th place counts as right.
        name: its key in logs.

    Raises:
        ValueError: if `k` is not positive.

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.TopKCategoricalAccuracy(k=1)
        >>> metric.update_state([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]])
        >>> metric.result()
        0.5
    """

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy") -> None:
        super().__init__(name, direction="max")
        self.k = _positive(k)

    def values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Return which rows have the right class among their k largest."""
        return in_top_k(aligned(y_true, y_pred).argmax(axis=-1).reshape(-1), y_pred, self.k)


class SparseTopKCategoricalAccuracy(MeanMetric):
    """How often the right class is among the k largest predictions; targets are class labels.

    Args:
        k: how many. A tie at the k-th place counts as right.
        name: its key in logs.

    Raises:
        ValueError: if `k` is not positive.

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.SparseTopKCategoricalAccuracy(k=1)
        >>> metric.update_state([2, 1], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]])
        >>> metric.result()
        0.5
    """

    def __init__(self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy") -> None:
        super().__init__(name, direction="max")
        self.k = _positive(k)

    def values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Return which rows have the right class among their k largest."""
        return in_top_k(class_labels(y_true, y_pred.shape[:-1], y_pred.shape[-1]), y_pred, self.k)


def in_top_k(labels: np.ndarray, y_pred: np.ndarray, k: int) -> np.ndarray:
    """Return where fewer than k predictions are larger than the label's.

    Args:
        labels: one line of class labels.
        y_pred: ``(..., classes)``.
        k: how many places count.

    Returns:
        Booleans of shape ``y_pred.shape[:-1]``. A prediction of NaN for the label is never right.
    """
    classes = y_pred.shape[-1]
    rows = y_pred.reshape(-1, classes)
    at_label = rows[np.arange(len(rows)), labels]
    # Counting what is not larger, and not what is, makes NaN count as larger.
    not_larger = np.count_nonzero(rows <= at_label[:, np.newaxis], axis=-1)
    found: np.ndarray = not_larger > max(classes - k, 0)
    return found.reshape(y_pred.shape[:-1])


def _positive(k: int) -> int:
    if k < 1:
        raise ValueError(f"k is how many of the largest predictions count, at least 1. Received: {k!r}")
    return k
