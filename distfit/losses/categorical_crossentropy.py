"""Cross-entropy for one class of several, from one-hot targets or from class numbers."""

import numpy as np

from distfit.losses import sparse_rows
from distfit.losses.clipping import clip_probabilities
from distfit.losses.loss import Loss, LossBackward
from distfit.losses.smoothing import check_label_smoothing, smooth
from distfit.utils.targets import class_labels, floating, like_predictions


class CategoricalCrossentropy(Loss):
    """The cross-entropy ``-sum(t log p)`` of a target distribution t and a predicted one, over the last axis.

    Args:
        from_logits: whether predictions are logits, of which p is the softmax, or p itself. Logits are faster
            and more exact; probabilities are divided by their sum and cut off at 1e-7 and 1 - 1e-7, as in
            Keras, where the gradient is 0.
        label_smoothing: spreads a share of the targets evenly: ``t * (1 - s) + s / classes`` (Szegedy et al.,
            2016).
        name: its key in logs where a model has several losses.

    Raises:
        ValueError: if `label_smoothing` does not lie in [0, 1].

    Example:
        >>> from distfit import losses
        >>> round(losses.CategoricalCrossentropy()([[0, 1, 0]], [[0.2, 0.5, 0.3]]), 6)
        0.693147
    """

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, name: str = "categorical_crossentropy"
    ) -> None:
        super().__init__(name)
        self.from_logits = from_logits
        self.label_smoothing = check_label_smoothing(label_smoothing)

    def forward(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, LossBackward]:
        """Compute the loss of each row: see `Loss.forward`. Targets are of the predictions' shape."""
        y_pred = floating(y_pred)
        targets = smooth(like_predictions(y_true, y_pred), self.label_smoothing, y_pred.shape[-1])
        return _of_logits(targets, y_pred) if self.from_logits else _of_probabilities(targets, y_pred)


class SparseCategoricalCrossentropy(Loss):
    """The cross-entropy ``-log p[label]`` of predictions over classes and a class number, over the last axis.

    Args:
        from_logits: whether predictions are logits, of which p is the softmax, or p itself. Logits are faster
            and more exact; probabilities are divided by their sum and cut off at 1e-7 and 1 - 1e-7, as in
            Keras, where the gradient is 0.
        name: its key in logs where a model has several losses.

    Example:
        >>> from distfit import losses
        >>> loss = losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> round(loss([0, 1], [[5.0, 5.0], [-1.0, -1.0]]), 6)
        0.693147
    """

    def __init__(self, from_logits: bool = False, name: str = "sparse_categorical_crossentropy") -> None:
        super().__init__(name)
        self.from_logits = from_logits

    def forward(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, LossBackward]:
        """Compute the loss of each row: see `Loss.forward`.

        Args:
            y_true: class numbers, ``y_pred.shape[:-1]`` or with a last axis of length 1; integers of any
                dtype, or floats that hold integers.
            y_pred: predictions, ``(rows, ..., classes)``.

        Returns:
            The values, ``y_pred.shape[:-1]``, and their backward.

        Raises:
            ValueError: if a label is no class number; the text names the label, its row and the number of
            classes.
        """
        y_pred = floating(y_pred)
        num_classes = y_pred.shape[-1]
        labels = class_labels(y_true, y_pred.shape[:-1], num_classes)
        kernel = sparse_rows.of_logits if self.from_logits else sparse_rows.of_probabilities
        values, slope = kernel(labels, y_pred.reshape(-1, num_classes))

        def backward(weights: np.ndarray | None) -> np.ndarray:
            return slope(None if weights is None else weights.reshape(-1)).reshape(y_pred.shape)

        return values.reshape(y_pred.shape[:-1]), backward


def _of_logits(targets: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, LossBackward]:
    """Compute ``sum(t) log(sum(exp(z))) - sum(t z)``, shifted so that no exponential can overflow."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    normalizer = exponentials.sum(axis=-1)
    mass = targets.sum(axis=-1)

    def backward(weights: np.ndarray | None) -> np.ndarray:
        gradient = exponentials * (mass / normalizer)[..., np.newaxis] - targets
        return gradient if weights is None else _scale(gradient, weights)

    return mass * np.log(normalizer) - np.einsum("...c,...c->...", targets, shifted), backward


def _of_probabilities(targets: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, LossBackward]:
    total = y_pred.sum(axis=-1, keepdims=True)
    p, inside = clip_probabilities(y_pred / total)

    def backward(weights: np.ndarray | None) -> np.ndarray:
        # Where the probability was cut off there is no slope. Dividing by the total couples the classes.
        live = targets * inside
        gradient = (live.sum(axis=-1, keepdims=True) - live / p) / total
        return gradient if weights is None else _scale(gradient, weights)

    return -np.einsum("...c,...c->...", targets, np.log(p)), backward


def _scale(gradient: np.ndarray, weights: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = gradient * np.asarray(weights, gradient.dtype)[..., np.newaxis]
    return scaled
