"""A statistic as mergeable state: what rows of different ranks add up to before anything is divided."""

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
    """One array of a statistic's state.

    Attributes:
        shape: of the array.
        reduction: how the states of two sets of rows become the state of their union.
    """

    shape: tuple[int, ...] = ()
    reduction: Reduction = "sum"


class Statistic(Configured, ABC):
    """Base of everything that is accumulated over rows: metrics, and `Mean` and `Sum` of plain values.

    A statistic says what its state is (`fields`) and what the state means (`compute`). Merging is not its
    business: fields are summed, or their minimum or maximum is taken, over batches and over ranks. So no
    mean of means can arise, and a rank without rows contributes the identity.

    Args:
        name: its key in logs.
        direction: ``"max"`` where larger is better, for callbacks that monitor it.

    Attributes:
        fields: the state's arrays by name, of float64. To be set in the constructor.

    Ranks: local; the trainer, and `CallbackList` for what stands in logs, bring the states of all ranks
    together.
    """

    def __init__(self, name: str, direction: Direction = "min") -> None:
        self.name = name
        self.direction: Direction = direction
        self.fields: dict[str, Field] = {}
        self._state: State | None = None

    @abstractmethod
    def compute(self, state: State) -> Any:
        """Return the value for a state: a float, or an array. Pure; 0.0 where the state is of no rows."""

    def zero(self) -> State:
        """Return the state of no rows."""
        return {name: np.full(f.shape, _IDENTITY[f.reduction]) for name, f in self.fields.items()}

    def merge(self, left: State, right: State) -> State:
        """Return the state of two sets of rows together."""
        return {name: _MERGE[f.reduction](left[name], right[name]) for name, f in self.fields.items()}

    def add(self, state: State) -> None:
        """Merge a state into that of the rows so far."""
        self._state = self.merge(self.state(), state)

    def state(self) -> State:
        """Return the state of the rows so far."""
        return self._state or self.zero()

    def result(self) -> Any:
        """Return the value of the rows so far, as in Keras."""
        return self.compute(self.state())

    def reset_state(self) -> None:
        """Forget all rows, as in Keras."""
        self._state = None
