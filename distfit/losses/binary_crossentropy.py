"""Cross-entropy for questions with two answers."""

import numpy as np

from distfit.losses.clipping import clip_probabilities
from distfit.losses.elementwise import ElementwiseLoss
from distfit.losses.smoothing import check_label_smoothing, smooth


class BinaryCrossentropy(ElementwiseLoss):
    """The cross-entropy ``-(t log p + (1 - t) log(1 - p))``, mean over the last axis.

    Args:
        from_logits: whether predictions are logits, of which p is the sigmoid, or p itself. Logits are more
            exact; probabilities are cut off at 1e-7 and 1 - 1e-7, as in Keras, where the gradient is 0.
        label_smoothing: moves targets towards 0.5: ``t * (1 - s) + s / 2``.
        name: its key in logs where a model has several losses.

    Raises:
        ValueError: if `label_smoothing` does not lie in [0, 1].

    Example:
        >>> from distfit import losses
        >>> round(losses.BinaryCrossentropy()([[1], [0]], [[0.5], [0.5]]), 6)
        0.693147
    """

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, name: str = "binary_crossentropy"
    ) -> None:
        super().__init__(name)
        self.from_logits = from_logits
        self.label_smoothing = check_label_smoothing(label_smoothing)

    def elementwise(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the cross-entropy and its derivative, ``p - t`` by a logit."""
        targets = smooth(y_true, self.label_smoothing, 2)
        return _of_logits(targets, y_pred) if self.from_logits else _of_probabilities(targets, y_pred)


def _of_logits(targets: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute ``log(1 + exp(z)) - t z`` so that no exponential can overflow."""
    decay = np.exp(-np.abs(logits))
    values = np.maximum(logits, 0) - targets * logits + np.log1p(decay)
    sigmoid = np.where(logits >= 0, np.ones_like(decay), decay) / (1 + decay)
    return values, sigmoid - targets


def _of_probabilities(targets: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p, inside = clip_probabilities(probabilities)
    values = -(targets * np.log(p) + (1 - targets) * np.log1p(-p))
    return values, inside * (p - targets) / (p * (1 - p))
