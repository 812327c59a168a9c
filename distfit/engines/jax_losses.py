"""Losses that are functions of JAX, as sums over rows, so that their mean over all ranks is exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from distfit.engines.padding import Padding
from distfit.engines.values import LossValue
from distfit.utils.configured import Configured
from distfit.utils.nested import leaves


class JaxLoss(Configured):
    """A function ``(y_pred, y) -> values`` with a value, or several, for each row, such as those of `optax.losses`.

    The loss is the mean of the values over the global batch.

    Args:
        function: of JAX. Its arguments have the rows first, and so has what it returns.
    """

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self.name = getattr(function, "__name__", type(function).__name__)
        self._padding = Padding()
        self._compute = jax.jit(jax.value_and_grad(self._weighted(function), has_aux=True))

    def get_config(self) -> dict[str, Any]:
        """Return what ranks compare."""
        return {"loss": self.name}

    def value(self, y: Any, y_pred: Any, sample_weight: Any) -> LossValue:
        """Return the sum over this rank's rows, its divisor and its gradient.

        Args:
            y: targets; an array, or a tree of them.
            y_pred: the function's output, the same.
            sample_weight: ``(rows,)``, or None. Weights the sum, not its divisor, as in Keras.

        Raises:
            ValueError: if the function returns no value for each row.
        """
        rows = len(leaves(y_pred)[0][1])
        dtype = np.dtype(leaves(y_pred)[0][1].dtype)
        weights = np.ones(rows, dtype) if sample_weight is None else np.asarray(sample_weight, dtype)
        fill = self._padding.filled
        (_, values), gradient = self._compute(
            fill(y_pred, rows), fill(y, rows), self._padding.filled(weights, rows, with_zeros=True)
        )
        total = float(np.sum(np.asarray(values), dtype=np.float64))
        return LossValue(total, rows * values.size / len(values), lambda: gradient)

    def _weighted(self, function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
        def weighted(y_pred: Any, y: Any, weights: Any) -> tuple[Any, Any]:
            values = function(y_pred, y)
            if values.shape[:1] != weights.shape:
                raise ValueError(
                    f"{self.name} has to return a value for each row, whose mean over all ranks is the loss; without"
                    f" its own mean() or sum(). Received: an array of shape {values.shape} for {len(weights)} rows"
                )
            values = values * weights.reshape(-1, *[1] * (values.ndim - 1))
            return values.sum(), values

        return weighted


def loss_value(function: Callable[[Any], Any], weight: float, y_pred: Any) -> LossValue:
    """Return what an override of `Model.compute_loss` returns, from a function that JAX can differentiate.

    Args:
        function: of `y_pred`; returns the sum of the losses of this rank's rows.
        weight: what the sum over all ranks is divided by: the number of values in it.
        y_pred: the model's output, as `compute_loss` was given it.

    Ranks: local.

    Example:
        >>> import jax.numpy as jnp
        >>> value = loss_value(lambda y_pred: (y_pred**2).sum(), 2, jnp.array([1.0, 3.0]))
        >>> value.total, value.weight, value.gradient().tolist()
        (10.0, 2, [2.0, 6.0])
    """
    total, gradient = jax.value_and_grad(function)(y_pred)
    return LossValue(float(total), weight, lambda: gradient)
