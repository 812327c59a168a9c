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
        TypeError: if they are not zero at first, or, with the first rows, do not double when these come again: then
            they are no sums.
    """

    def __init__(self, metric: keras.metrics.Metric) -> None:
        super().__init__(metric.name, "max" if getattr(metric, "_direction", None) == "up" else "min")
        self._metric = metric
        self._is_known_to_add = False
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
        def updated(state: list[Any]) -> list[Any]:
            new = self._metric.stateless_update_state(state, y_true, y_pred, sample_weight=sample_weight)
            return list(new)

        once = updated(
            [keras.ops.zeros(variable.shape, variable.dtype) for variable in self._metric.variables]
        )
        if not self._is_known_to_add:
            self._check_that_it_adds(once, updated(once))
        return {name: _in_float64(value) for name, value in zip(self.fields, once, strict=True)}

    def _check_that_it_adds(self, once: list[Any], twice: list[Any]) -> None:
        for variable, one, two in zip(self._metric.variables, once, twice, strict=True):
            if not np.allclose(_in_float64(two), 2 * _in_float64(one), rtol=1e-3, equal_nan=True):
                raise TypeError(
                    f"{variable.name!r} of the metric {self.name} is no sum over rows, which ranks could add: the same"
                    " rows again do not double it. Take one of distfit.metrics, in which fields may be minima and"
                    " maxima, too"
                )
        self._is_known_to_add = True

    def compute(self, state: State) -> Any:
        values = [
            (variable, keras.ops.convert_to_tensor(state[name], variable.dtype))
            for name, variable in zip(self.fields, self._metric.variables, strict=True)
        ]
        # A metric may return one of its variables, which holds these values within the scope alone.
        with keras.StatelessScope(values):
            result = np.asarray(keras.ops.convert_to_tensor(self._metric.result()))
        return float(result) if result.ndim == 0 else result


def _in_float64(value: Any) -> np.ndarray:
    return np.asarray(value).astype(np.float64)
