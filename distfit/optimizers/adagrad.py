"""Adagrad."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from distfit.optimizers.arena import Chunk, Step
from distfit.optimizers.elementwise import ElementwiseOptimizer
from distfit.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from distfit.optimizers.arguments import OptimizerArguments


class Adagrad(ElementwiseOptimizer):
    """``w -= learning_rate * g / sqrt(a + epsilon)``, a the sum of all ``g**2`` so far (Duchi et al., 2011).

    Args:
        learning_rate: a number, or a `schedules.LearningRateSchedule`. The paper's form has 1.0.
        initial_accumulator_value: what the sum starts from, 0.0 or more.
        epsilon: keeps the divisor from zero.
        others: see `OptimizerArguments`.

    Raises:
        ValueError: if the initial value is negative.

    Example:
        >>> import numpy as np
        >>> from distfit import optimizers
        >>> optimizer = optimizers.Adagrad(1.0, initial_accumulator_value=0.0)
        >>> optimizer.build(2, "float64", [optimizers.Segment("kernel", 0, 2)])
        >>> weights = np.zeros(2)
        >>> for _ in range(4):
        ...     optimizer.apply(weights, np.array([3.0, -70.0]), divisor=1)
        >>> weights.round(3).tolist()  # 1 + 1/sqrt(2) + 1/sqrt(3) + 1/sqrt(4)
        [-2.784, 2.784]
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **others: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **others)
        if initial_accumulator_value < 0:
            raise ValueError(
                "a sum of squares starts from 0.0 or more. "
                f"Received: initial_accumulator_value={initial_accumulator_value}"
            )
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def slot_values(self) -> dict[str, float]:
        """Return ``accumulator``."""
        return {"accumulator": self.initial_accumulator_value}

    def update(self, chunk: Chunk, step: Step) -> None:
        """Take the step."""
        gradients, scratch, accumulator = chunk.gradients, chunk.scratch, chunk.slots["accumulator"]
        np.multiply(gradients, step.gradient_scale, out=gradients)
        np.square(gradients, out=scratch)
        np.add(accumulator, scratch, out=accumulator)
        np.add(accumulator, self.epsilon, out=scratch)
        np.sqrt(scratch, out=scratch)
        np.divide(gradients, scratch, out=gradients)
        np.multiply(gradients, step.learning_rate, out=gradients)
        np.subtract(chunk.weights, gradients, out=chunk.weights)
