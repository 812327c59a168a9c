"""What training asks of an optimizer, whichever library it is from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from distfit.optimizers import Segment


class Updater(Protocol):
    """An optimizer, as the loop, callbacks and checkpoints see it. Those of `distfit.optimizers` are ones.

    All its numbers and arrays are a function of the updates so far, so that ranks which make equal updates hold equal
    ones.

    Attributes:
        name: in errors.
        learning_rate: of the next update; callbacks set it, unless a schedule gives it.
        iterations: how many updates were made.
        use_ema: whether it keeps a moving average of the weights.
        gradient_accumulation_steps: global batches between two updates, where `compile` says nothing.
    """

    name: str
    iterations: int
    use_ema: bool
    gradient_accumulation_steps: int | None

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update."""

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None: ...

    @property
    def is_new(self) -> bool:
        """Whether its arrays are surely those of any rank that made it alike: nothing has changed them yet."""

    def build(self, size: int, dtype: Any, segments: Sequence[Segment]) -> None:
        """Allocate the arrays for a flat buffer of weights; keep them where that was done."""

    def apply(self, parameters: np.ndarray, gradients: np.ndarray, divisor: float) -> None:
        """Change the weights by the gradients, divided by `divisor`."""

    def finalize_ema(self, parameters: np.ndarray) -> None:
        """Put the moving average in the weights' place, where one is kept."""

    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, themselves and no copies; from `build` on always the same."""

    def scalars(self) -> dict[str, float]:
        """Return the numbers that belong to the state: `iterations` and what `numbers` returns."""

    def set_scalars(self, scalars: Mapping[str, float]) -> None:
        """Set what `scalars` returned, after the arrays were written."""

    def restore(self, arrays: Mapping[str, np.ndarray], scalars: Mapping[str, float]) -> None:
        """Take over arrays and numbers that were saved, or raise ValueError and change nothing."""

    def numbers(self) -> dict[str, float]:
        """Return what callbacks change most, such as the learning rate."""

    def set_numbers(self, numbers: Mapping[str, float]) -> None:
        """Set what `numbers` returned."""

    def settings(self) -> dict[str, Any]:
        """Return all else that an update depends on."""

    def set_settings(self, settings: Mapping[str, Any]) -> None:
        """Set what `settings` returned."""
