"""Losses that compare element by element, and take the mean over the last axis."""

from abc import abstractmethod

import numpy as np

from distfit.losses.loss import Loss, LossBackward
from distfit.utils.targets import floating, like_predictions


class ElementwiseLoss(Loss):
    """Base of losses whose value for a row is the mean of a function of each element.

    Ranks: local.
    """

    @abstractmethod
    def elementwise(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the values and their derivatives by `y_pred`, both in its shape and dtype.

        Args:
            y_true: targets, in the shape and dtype of `y_pred`.
            y_pred: predictions, float32 or float64.
        """

    def forward(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, LossBackward]:
        """Compute the loss of each row: see `Loss.forward`."""
        y_pred = floating(y_pred)
        elements, slope = self.elementwise(like_predictions(y_true, y_pred), y_pred)
        has_outputs = y_pred.ndim > 1
        outputs = y_pred.shape[-1] if has_outputs else 1

        def backward(weights: np.ndarray | None) -> np.ndarray:
            if weights is None:
                return slope / outputs
            scale = np.asarray(weights / outputs, slope.dtype)
            gradient: np.ndarray = slope * (scale[..., np.newaxis] if has_outputs else scale)
            return gradient

        return elements.mean(axis=-1) if has_outputs else elements, backward
