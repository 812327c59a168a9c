"""RMSprop."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from distfit.optimizers.arena import Chunk, Step
from distfit.optimizers.elementwise import ElementwiseOptimizer
from distfit.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from distfit.optimizers.arguments import OptimizerArguments


class RMSprop(ElementwiseOptimizer):
    """``w -= learning_rate * g / sqrt(v + epsilon)``, v a moving average of ``g**2`` (Hinton, 2012).

    Args:
        learning_rate: a number, or a `schedules.LearningRateSchedule`.
        rho: how much of the average a step keeps.
        momentum: how much of the last step is made again; 0.0 for none.
        epsilon: keeps the divisor from zero.
        centered: divide by the root of the gradient's variance, not of its mean square (Graves, 2013).
        others: see `OptimizerArguments`.

    Example:
        >>> import numpy as np
        >>> from distfit import optimizers
        >>> optimizer = optimizers.RMSprop(0.1)
        >>> optimizer.build(1, "float64", [optimizers.Segment("kernel", 0, 1)])
        >>> weights = np.array([10.0])
        >>> optimizer.apply(weights, np.array([10.0]), divisor=1)
        >>> weights.round(6).tolist()
        [9.683772]
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **others: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **others)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def slot_values(self) -> dict[str, float]:
        """Return ``velocity``, ``momentum`` if there is any, and ``average_gradient`` if centered."""
        used = {"velocity": True, "momentum": self.momentum > 0, "average_gradient": self.centered}
        return {name: 0.0 for name, is_used in used.items() if is_used}

    def update(self, chunk: Chunk, step: Step) -> None:
        """Take the step."""
        gradients, scratch = chunk.gradients, chunk.scratch
        velocity = chunk.slots["velocity"]
        np.multiply(gradients, math.sqrt(1.0 - self.rho) * step.gradient_scale, out=scratch)
        np.square(scratch, out=scratch)
        np.multiply(velocity, self.rho, out=velocity)
        np.add(velocity, scratch, out=velocity)
        if self.centered:
            self._variance(chunk, step)
            np.add(scratch, self.epsilon, out=scratch)
        else:
            np.add(velocity, self.epsilon, out=scratch)
        np.sqrt(scratch, out=scratch)
        np.multiply(gradients, step.learning_rate * step.gradient_scale, out=gradients)
        np.divide(gradients, scratch, out=gradients)
        if self.momentum > 0:
            momentum = chunk.slots["momentum"]
            np.multiply(momentum, self.momentum, out=momentum)
            np.add(momentum, gradients, out=momentum)
            np.subtract(chunk.weights, momentum, out=chunk.weights)
        else:
            np.subtract(chunk.weights, gradients, out=chunk.weights)

    def _variance(self, chunk: Chunk, step: Step) -> None:
        scratch, average = chunk.scratch, chunk.slots["average_gradient"]
        np.multiply(chunk.gradients, (1.0 - self.rho) * step.gradient_scale, out=scratch)
        np.multiply(average, self.rho, out=average)
        np.add(average, scratch, out=average)
        np.square(average, out=scratch)
        np.subtract(chunk.slots["velocity"], scratch, out=scratch)
        np.maximum(scratch, 0.0, out=scratch)  # rounding can take the variance of steady gradients below zero
