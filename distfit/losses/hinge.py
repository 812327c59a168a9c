"""The loss of maximum-margin classifiers."""

import numpy as np

from distfit.losses.elementwise import ElementwiseLoss


class Hinge(ElementwiseLoss):
    """The hinge loss ``max(0, 1 - y_true * y_pred)`` (Cortes and Vapnik, 1995), mean over the last axis.

    Targets are -1 or 1; 0 is read as -1. Keras does so only where a whole batch holds nothing but 0 and 1;
    here it is done for each element, so that a row's loss does not depend on which other rows its rank holds.

    Args:
        name: its key in logs where a model has several losses.

    Example:
        >>> from distfit import losses
        >>> losses.Hinge()([[1], [0]], [[0.5], [-3.0]])
        0.25
    """

    def __init__(self, name: str = "hinge") -> None:
        super().__init__(name)

    def elementwise(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the value, and ``-y_true`` where it is positive, 0 elsewhere."""
        signs = np.where(y_true == 0, np.asarray(-1, y_pred.dtype), y_true)
        margin = 1 - signs * y_pred
        return np.maximum(margin, 0), np.where(margin > 0, -signs, np.zeros_like(signs))
