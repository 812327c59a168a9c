"""Losses for numbers: squared, absolute, and Huber's between them."""

import numpy as np

from distfit.losses.elementwise import ElementwiseLoss


class MeanSquaredError(ElementwiseLoss):
    """The squared error ``(y_pred - y_true)**2``, mean over the last axis.

    Args:
        name: its key in logs where a model has several losses.

    Example:
        >>> from distfit import losses
        >>> losses.MeanSquaredError()([[1.0, 2.0]], [[2.0, 4.0]])
        2.5
    """

    def __init__(self, name: str = "mean_squared_error") -> None:
        super().__init__(name)

    def elementwise(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``e**2`` and ``2 e``, where ``e = y_pred - y_true``."""
        error = y_pred - y_true
        return error * error, 2 * error


class MeanAbsoluteError(ElementwiseLoss):
    """The absolute error ``|y_pred - y_true|``, mean over the last axis.

    Args:
        name: its key in logs where a model has several losses.

    Example:
        >>> from distfit import losses
        >>> losses.MeanAbsoluteError()([[1.0, 2.0]], [[2.0, 4.0]])
        1.5
    """

    def __init__(self, name: str = "mean_absolute_error") -> None:
        super().__init__(name)

    def elementwise(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``|e|`` and ``sign(e)``, where ``e = y_pred - y_true``; the slope at 0 is 0."""
        error = y_pred - y_true
        return np.abs(error), np.sign(error)


class Huber(ElementwiseLoss):
    """A loss that is square near 0 and linear beyond `delta` (Huber, 1964), mean over the last axis.

    With ``e = y_pred - y_true``: ``e**2 / 2`` where ``|e| <= delta``, else ``delta * |e| - delta**2 / 2``.

    Args:
        delta: where the linear part starts, in the targets' unit. Positive.
        name: its key in logs where a model has several losses.

    Raises:
        ValueError: if `delta` is not positive.

    Example:
        >>> from distfit import losses
        >>> losses.Huber()([[0.0, 0.0]], [[1.0, 3.0]])
        1.5
    """

    def __init__(self, delta: float = 1.0, name: str = "huber_loss") -> None:
        super().__init__(name)
        if not delta > 0:
            raise ValueError(
                f"delta is where the loss becomes linear, and has to be positive. Received: {delta!r}"
            )
        self.delta = delta

    def elementwise(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the value and its slope, which is the error cut off at ``-delta`` and ``delta``."""
        error = y_pred - y_true
        slope = np.clip(error, -self.delta, self.delta)
        # Both branches are slope * (e - slope / 2): with slope = e it is e**2 / 2.
        return slope * (error - slope / 2), slope
