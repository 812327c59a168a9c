"""Cross-entropy from class numbers, for rows: the hot loop of training a classifier.

Indexing the flattened array is what keeps this short: NumPy takes and puts along one axis twice as fast as
along two.
"""

import functools

import numpy as np

from distfit.losses.clipping import clip_probabilities
from distfit.losses.loss import LossBackward


def of_logits(labels: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, LossBackward]:
    """Compute ``log(sum(exp(z))) - z[label]``; its gradient is ``softmax(z) - onehot(label)``.

    Each row is shifted by its largest logit, so that no exponential can overflow and their sum is at least 1.

    Args:
        labels: ``(rows,)`` intp, in [0, classes).
        logits: ``(rows, classes)`` float32 or float64.

    Returns:
        The values ``(rows,)``, and a backward that takes weights ``(rows,)`` or None.
    """
    chosen = _flat_indices(labels, logits)
    # In C order whatever the order of the logits is: a flat view of any other would be a copy.
    shifted = np.subtract(logits, logits.max(axis=-1, keepdims=True), order="C")
    at_label = shifted.reshape(-1).take(chosen)
    exponentials = np.exp(shifted, out=shifted)
    # A product with ones: the sum of short rows is three times as fast in BLAS as along NumPy's last axis.
    normalizer = exponentials @ np.ones(logits.shape[-1], logits.dtype)

    def backward(weights: np.ndarray | None) -> np.ndarray:
        scale = np.asarray(1.0 if weights is None else weights, logits.dtype)
        gradient: np.ndarray = exponentials * (scale / normalizer)[:, np.newaxis]
        gradient.reshape(-1)[chosen] -= scale
        return gradient

    return np.log(normalizer) - at_label, backward


def of_probabilities(labels: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, LossBackward]:
    """Compute ``-log(p[label])``, where p is each row divided by its sum, and cut off.

    Args:
        labels: ``(rows,)`` intp, in [0, classes).
        y_pred: ``(rows, classes)`` float32 or float64, not negative.

    Returns:
        The values ``(rows,)``, and a backward that takes weights ``(rows,)`` or None.
    """
    chosen = _flat_indices(labels, y_pred)
    total = y_pred @ np.ones(y_pred.shape[-1], y_pred.dtype)
    p, inside = clip_probabilities(y_pred.reshape(-1).take(chosen) / total)

    def backward(weights: np.ndarray | None) -> np.ndarray:
        live = inside if weights is None else inside * np.asarray(weights, total.dtype)
        scale: np.ndarray = live / total
        gradient: np.ndarray = np.repeat(scale, y_pred.shape[-1]).reshape(y_pred.shape)
        gradient.reshape(-1)[chosen] -= scale / p
        return gradient

    return -np.log(p), backward


def _flat_indices(labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    indices: np.ndarray = _row_starts(*rows.shape) + labels
    return indices


@functools.lru_cache(maxsize=4)  # a training has one or two sizes of batches
def _row_starts(rows: int, classes: int) -> np.ndarray:
    return np.arange(0, rows * classes, classes)
