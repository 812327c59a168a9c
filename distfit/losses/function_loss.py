"""A user's own function as a loss."""

from collections.abc import Callable
from typing import Any

import numpy as np

from distfit.losses.loss import Loss, LossBackward
from distfit.utils.targets import floating, same_rank


class FunctionLoss(Loss):
    """A loss from a function ``f(y_true, y_pred)``.

    The function returns either the values and their gradient, or only the values. In the second form it is
    written with ``autograd.numpy`` in place of ``numpy``, and differentiated by the autograd library
    (Maclaurin, Duvenaud and Adams, 2015). Which of the two it is shows when it is first called.

    Args:
        function: takes targets and predictions, ``(rows, ...)``, and returns one value a row (or one for each
            of ``y_pred.shape[:-1]``), never the mean; or these and the gradient of each row's value by
            `y_pred`, in `y_pred`'s shape.
        name: its key in logs where a model has several losses. Defaults to the function's name.

    Ranks: local.

    Example:
        >>> import numpy as np
        >>> from distfit import losses
        >>> def quartic(y_true, y_pred):
        ...     error = y_pred - y_true
        ...     return (error**4).sum(axis=-1), 4 * error**3
        >>> losses.FunctionLoss(quartic)([[1.0]], [[3.0]])
        16.0
        >>> import autograd.numpy as anp
        >>> values, backward = losses.FunctionLoss(
        ...     lambda y_true, y_pred: anp.sum((y_pred - y_true) ** 4, axis=-1), name="quartic"
        ... ).forward(np.array([[1.0]]), np.array([[3.0]]))
        >>> backward(None).tolist()
        [[32.0]]
    """

    def __init__(self, function: Callable[[Any, Any], Any], name: str | None = None) -> None:
        super().__init__(name or str(getattr(function, "__name__", type(function).__name__)))
        self.function = function
        self._brings_gradient: bool | None = None

    def forward(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, LossBackward]:
        """Compute the loss of each row: see `Loss.forward`.

        Raises:
            ValueError: if what the function returns is not of one value a row.
            TypeError: if the function uses NumPy where autograd cannot follow it.
            ImportError: if the function brings no gradient, and autograd is not installed.
        """
        y_pred = floating(y_pred)
        y_true = same_rank(y_true, y_pred)
        if self._brings_gradient is None:
            self._brings_gradient = isinstance(self.function(y_true, y_pred), tuple)
        return self._given(y_true, y_pred) if self._brings_gradient else self._traced(y_true, y_pred)

    def _given(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, LossBackward]:
        values, slope = (np.asarray(part) for part in self.function(y_true, y_pred))
        self._check(values, y_pred)
        if slope.shape != y_pred.shape:
            raise ValueError(
                f"the gradient that {self.name} returns has to be of the predictions' shape {y_pred.shape}."
                f" Received: {slope.shape}"
            )

        def backward(weights: np.ndarray | None) -> np.ndarray:
            if weights is None:
                return slope.astype(y_pred.dtype)
            scale = np.reshape(weights, values.shape + (1,) * (y_pred.ndim - values.ndim))
            return np.asarray(slope * scale, y_pred.dtype)

        return values, backward

    def _traced(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, LossBackward]:
        autograd = _autograd()

        def of_predictions(predictions: Any) -> Any:
            values = self.function(y_true, predictions)
            if not isinstance(values, autograd.extend.Box):
                raise TypeError(
                    f"autograd cannot follow {self.name}: write it with autograd.numpy in place of numpy, or"
                    f" return (values, gradient). Received: {type(values).__name__}"
                )
            return values

        vjp, traced = autograd.make_vjp(of_predictions)(y_pred)
        values = np.asarray(traced)
        self._check(values, y_pred)

        def backward(weights: np.ndarray | None) -> np.ndarray:
            ones_or_weights = np.ones_like(values) if weights is None else np.asarray(weights, values.dtype)
            return np.asarray(vjp(ones_or_weights), y_pred.dtype)

        return values, backward

    def _check(self, values: np.ndarray, y_pred: np.ndarray) -> None:
        if values.ndim == 0 or values.shape != y_pred.shape[: values.ndim]:
            raise ValueError(
                f"{self.name} has to return one value for each of {len(y_pred)} rows, and not their mean,"
                f" which distfit takes over all ranks. Received: values of shape {values.shape} for"
                f" predictions of shape {y_pred.shape}"
            )


def _autograd() -> Any:
    try:
        import autograd.extend
    except ImportError as error:
        raise ImportError(
            "a loss that returns values without their gradient is differentiated by autograd, which is not"
            " installed: pip install distfit-mpi[autograd], or return (values, gradient)"
        ) from error
    return autograd
