"""A metric of Keras, whose state is summed over the ranks."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from distfit.metrics import Field, Metric, State


class KerasMetric(Metric):
    """A metric of Keras. What rows add to its variables is summed over all ranks, and its value computed of the sums.

    Args:
        metric: whose variables are zero as long as it has seen no row, and sums of what rows add from then on; so are
            those of all metrics that come with Keras.

    Raises:
        TypeError: if they are not zero at first: then they are no sums.
    """

    def __init__(self, metric: keras.metrics.Metric) -> None:
        super().__init__(metric.name, "max" if getattr(metric, "_direction", None) == "up" else "min")
        self._metric = metric
        self._find_fields()

    def get_config(self) -> dict[str, Any]:
        """Return what ranks compare."""
        return {"metric": type(self._metric).__name__, "name": self.name}

    def build(self, output_shape: tuple[int, ...]) -> None:
        if not self.fields:  # it makes its variables when it sees the first rows
            rows = np.zeros((1, *output_shape), keras.config.floatx())
            self._metric.update_state(rows, rows)
            self._metric.reset_state()
            self._find_fields()

    def _find_fields(self) -> None:
        variables = self._metric.variables
        if any(np.any(np.asarray(variable.value)) for variable in variables):
            raise TypeError(
                f"the metric {self.name} begins with numbers that are not zero: they are no sums over rows, which ranks"
                " could add. Take one of distfit.metrics, in which fields may be minima and maxima, too"
            )
        self.fields = {
            f"{i}: {variable.name}": Field(tuple(variable.shape)) for i, variable in enumerate(variables)
        }

    def measure(self, y_true: Any, y_pred: Any, sample_weight: np.ndarray | None) -> State:
        zeros = [keras.ops.zeros(variable.shape, variable.dtype) for variable in self._metric.variables]
        state = self._metric.stateless_update_state(zeros, y_true, y_pred, sample_weight=sample_weight)
        return {
            name: np.asarray(value).astype(np.float64) for name, value in zip(self.fields, state, strict=True)
        }

    def compute(self, state: State) -> Any:
        values = [
            keras.ops.convert_to_tensor(state[name], variable.dtype)
            for name, variable in zip(self.fields, self._metric.variables, strict=True)
        ]
        result = np.asarray(self._metric.stateless_result(values))
        return float(result) if result.ndim == 0 else result
