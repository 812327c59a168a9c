"""How often predictions are right."""

import numpy as np

from distfit.metrics.mean_metric import MeanMetric
from distfit.utils.targets import aligned, labels_of_shape


class Accuracy(MeanMetric):
    """How often predictions equal targets.

    Args:
        name: its key in logs.

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.Accuracy()
        >>> metric.update_state([1, 2, 3, 4], [0, 2, 3, 4])
        >>> metric.result()
        0.75
    """

    def __init__(self, name: str = "accuracy") -> None:
        super().__init__(name, direction="max")

    def values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Return where they are equal."""
        matches: np.ndarray = aligned(y_true, y_pred) == y_pred
        return matches


class BinaryAccuracy(MeanMetric):
    """How often predictions lie on the right side of a threshold.

    Args:
        name: its key in logs.
        threshold: above it, a prediction means 1. For logits, give 0.0.

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.BinaryAccuracy()
        >>> metric.update_state([[1], [1], [0], [0]], [[0.98], [1], [0], [0.6]])
        >>> metric.result()
        0.75
    """

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5) -> None:
        super().__init__(name, direction="max")
        self.threshold = threshold

    def values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Return where targets are 1 and predictions above the threshold, or 0 and not above it."""
        return binary_matches(y_true, y_pred, self.threshold)


class CategoricalAccuracy(MeanMetric):
    """How often the largest prediction is that of the right class; targets are one-hot.

    Args:
        name: its key in logs.

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.CategoricalAccuracy()
        >>> metric.update_state([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]])
        >>> metric.result()
        0.5
    """

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(name, direction="max")

    def values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Return where targets and predictions are largest at the same place."""
        return categorical_matches(y_true, y_pred)


class SparseCategoricalAccuracy(MeanMetric):
    """How often the largest prediction is that of the right class; targets are class labels.

    Args:
        name: its key in logs.

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.SparseCategoricalAccuracy()
        >>> metric.update_state([2, 1], [[0.1, 0.6, 0.3], [0.05, 0.95, 0]])
        >>> metric.result()
        0.5
    """

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(name, direction="max")

    def values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Return where the label is the place of the largest prediction."""
        return sparse_categorical_matches(y_true, y_pred)


class InferredAccuracy(MeanMetric):
    """What ``metrics=["accuracy"]`` means where the loss does not tell: the accuracy that the shapes suggest.

    As in Keras: of one output, binary; of targets that have one axis less than predictions, or a last axis of
    length 1, sparse categorical; else categorical. Shapes are equal on all ranks, so that all choose the
    same.

    Args:
        name: its key in logs.

    Example:
        >>> from distfit import metrics
        >>> metric = metrics.InferredAccuracy()
        >>> metric.update_state([0, 1], [[0.6, 0.4], [0.7, 0.3]])
        >>> metric.result()
        0.5
    """

    def __init__(self, name: str = "accuracy") -> None:
        super().__init__(name, direction="max")

    def values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Return where predictions are right."""
        if y_pred.ndim == 1 or y_pred.shape[-1] == 1:
            return binary_matches(y_true, y_pred, 0.5)
        if y_true.ndim < y_pred.ndim or y_true.shape[-1] == 1:
            return sparse_categorical_matches(y_true, y_pred)
        return categorical_matches(y_true, y_pred)


def binary_matches(y_true: np.ndarray, y_pred: np.ndarray, threshold: float) -> np.ndarray:
    """Return where ``y_pred > threshold`` says what the targets say, in the predictions' shape."""
    matches: np.ndarray = aligned(y_true, y_pred) == (y_pred > threshold)
    return matches


def categorical_matches(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return where the largest target is the largest prediction, ``y_pred.shape[:-1]``."""
    matches: np.ndarray = aligned(y_true, y_pred).argmax(axis=-1) == y_pred.argmax(axis=-1)
    return matches


def sparse_categorical_matches(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return where the label is the largest prediction, ``y_pred.shape[:-1]``."""
    matches: np.ndarray = labels_of_shape(y_true, y_pred.shape[:-1]) == y_pred.argmax(axis=-1)
    return matches
