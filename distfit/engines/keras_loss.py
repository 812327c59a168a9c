"""What a compiled model of Keras minimises, as a sum over rows, so that its mean over all ranks is exact."""

from __future__ import annotations

from typing import Any

import jax
import keras
import numpy as np

from distfit.engines.padding import Padding
from distfit.engines.values import LossValue
from distfit.utils.configured import Configured
from distfit.utils.nested import leaves, map_leaves

_BY_ROW = "sum_over_batch_size"
_BY_WEIGHT = "mean_with_sample_weight"


class KerasLoss(Configured):
    """The loss with which a model of Keras was compiled: one, or one for each output with its weight.

    Args:
        model: compiled.

    Raises:
        ValueError: if it is no mean over rows.
    """

    def __init__(self, model: keras.Model) -> None:
        self.name = "loss of Keras"
        self._model = model
        self._is_by_weight = _reduction(model.loss) == _BY_WEIGHT
        self._padding = Padding()
        self._is_built = False
        self._compute = jax.jit(jax.value_and_grad(self._sum))

    def get_config(self) -> dict[str, Any]:
        """Return what ranks compare."""
        return {"loss": repr(self._model.loss) if isinstance(self._model.loss, str) else self.name}

    def value(self, y: Any, y_pred: Any, sample_weight: Any) -> LossValue:
        """Return the sum over this rank's rows, its divisor and its gradient.

        Args:
            y: targets; an array, or a tree of them.
            y_pred: the model's output, the same.
            sample_weight: ``(rows,)``, or None.
        """
        if (
            not self._is_built
        ):  # Keras makes what it counts with in the first call, which must not be a compiled one
            first = map_leaves(lambda leaf: np.asarray(leaf)[:1], (y, y_pred))
            self._model.compute_loss(y=first[0], y_pred=first[1], training=True)
            self._is_built = True
        rows = len(leaves(y_pred)[0][1])
        dtype = np.dtype(leaves(y_pred)[0][1].dtype)
        weights = np.ones(rows, dtype) if sample_weight is None else np.asarray(sample_weight, dtype)
        fill = self._padding.filled
        padded = self._padding.filled(weights, rows, with_zeros=True)
        total, gradient = self._compute(fill(y_pred, rows), fill(y, rows), padded)
        return LossValue(float(total), float(weights.sum()) if self._is_by_weight else rows, lambda: gradient)

    def _sum(self, y_pred: Any, y: Any, weights: Any) -> Any:
        # Keras's mean divides by all rows, those included that are there for the shape, whose weights are 0.
        divisor = weights.sum() if self._is_by_weight else len(weights)
        # What weights add is the engine's to count, once for all ranks: they are zeros here.
        variables = [*self._model.trainable_variables, *self._model.metrics_variables]
        with keras.StatelessScope([(v, keras.ops.zeros(v.shape, v.dtype)) for v in variables]):
            loss = self._model.compute_loss(y=y, y_pred=y_pred, sample_weight=weights, training=True)
            return (loss - sum(self._model.losses)) * divisor


def _reduction(loss: Any) -> str:
    given = leaves(loss) or [("", loss)]
    found = {getattr(one, "reduction", _BY_ROW) or "none" for _, one in given if one is not None}
    if len(found) == 1 and found <= {_BY_ROW, _BY_WEIGHT}:
        return found.pop()
    raise ValueError(
        f"a loss is a mean over the global batch, whatever its size: {_BY_ROW!r} or {_BY_WEIGHT!r}, the same for all"
        f" outputs. Received a reduction of: {', '.join(sorted(map(repr, found))) or 'no loss'}"
    )
