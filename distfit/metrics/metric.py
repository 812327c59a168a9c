"""A metric as mergeable state: what rows of different ranks add up to before anything is divided."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from distfit.utils.configured import Configured

State = dict[str, np.ndarray]
Reduction = Literal["sum", "min", "max"]
Direction = Literal["min", "max"]

_IDENTITY = {"sum": 0.0, "min": np.inf, "max": -np.inf}
_MERGE = {"sum": np.add, "min": np.minimum, "max": np.maximum}


@dataclass(frozen=True, slots=True)
class Field:
    """One array of a metric's state.

    Attributes:
        shape: of the array.
        reduction: how the states of two sets of rows become the state of their union.
    """

    shape: tuple[int, ...] = ()
    reduction: Reduction = "sum"


class Metric(Configured, ABC):
    """Base of all metrics, a user's own included.

    A metric says what its state is (`fields`), what rows contribute (`measure`) and what the state means (`compute`).
    Merging is not its business: fields are summed, or their minimum or maximum is taken, over batches and over ranks.
    So no mean of means can arise, and an empty shard contributes the identity.

    Args:
        name: its key in logs.
        direction: ``"max"`` where larger is better, for callbacks that monitor it.

    Attributes:
        fields: the state's arrays by name. To be set in the constructor.

    Example:
        >>> import numpy as np
        >>> from distfit import metrics
        >>> class Largest(metrics.Metric):
        ...     def __init__(self, name="largest"):
        ...         super().__init__(name, direction="min")
        ...         self.fields = {"error": metrics.Field((), "max")}
        ...     def measure(self, y_true, y_pred, sample_weight):
        ...         return {"error": np.abs(y_true - y_pred).max()}
        ...     def compute(self, state):
        ...         return float(state["error"])
        >>> metric = Largest()
        >>> metric.update_state(np.array([1.0, 2.0]), np.array([1.5, 2.0]))
        >>> metric.result()
        0.5
    """

    def __init__(self, name: str, direction: Direction = "min") -> None:
        self.name = name
        self.direction: Direction = direction
        self.fields: dict[str, Field] = {}
        self._state: State | None = None

    @abstractmethod
    def measure(self, y_true: Any, y_pred: Any, sample_weight: np.ndarray | None) -> State:
        """Return what these rows contribute: an array, or a number, for each field. Pure.

        Args:
            y_true: targets, ``(rows, ...)``.
            y_pred: predictions, ``(rows, ...)``.
            sample_weight: ``(rows,)``, or None for ones.

        Ranks: local, and not called on a rank without rows.
        """

    @abstractmethod
    def compute(self, state: State) -> Any:
        """Return the metric's value for a state: a float, or an array. Pure; 0.0 where the state is of no rows."""

    def zero(self) -> State:
        """Return the state of no rows."""
        return {name: np.full(f.shape, _IDENTITY[f.reduction]) for name, f in self.fields.items()}

    def merge(self, left: State, right: State) -> State:
        """Return the state of two sets of rows together."""
        return {name: _MERGE[f.reduction](left[name], right[name]) for name, f in self.fields.items()}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add rows, as in Keras."""
        weight = None if sample_weight is None else np.asarray(sample_weight, np.float64)
        measured = self.measure(np.asarray(y_true), np.asarray(y_pred), weight)
        self._state = self.merge(self._state or self.zero(), measured)

    def result(self) -> Any:
        """Return the value of the rows so far, as in Keras."""
        return self.compute(self._state or self.zero())

    def reset_state(self) -> None:
        """Forget all rows, as in Keras."""
        self._state = None
