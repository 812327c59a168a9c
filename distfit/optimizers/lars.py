"""LARS: SGD for large global batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from distfit.optimizers.arena import Chunk, Step
from distfit.optimizers.layerwise import LayerwiseOptimizer
from distfit.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from distfit.optimizers.arguments import OptimizerArguments


class LARS(LayerwiseOptimizer):
    """SGD with momentum, whose step for each parameter is relative to its weights (You et al., 2017).

    ``velocity = momentum * velocity + rate * (g + weight_decay * w)`` and ``w -= velocity``, where the
    parameter's rate is ``learning_rate * trust_coefficient * norm(w) / (norm(g) + weight_decay * norm(w) +
    epsilon)``. Weight decay is part of the gradient here, as in the paper. A parameter whose weights or
    gradients are all zero takes the plain step.

    Args:
        learning_rate: a number, or a `schedules.LearningRateSchedule`.
        momentum: from 0 to 1.
        trust_coefficient: the step's length, relative to the weights', at a learning rate of 1.0.
        epsilon: keeps the divisor from zero.
        others: see `OptimizerArguments`.

    Raises:
        ValueError: if the momentum is out of its range.

    Example:
        >>> import numpy as np
        >>> from distfit import optimizers
        >>> optimizer = optimizers.LARS(1.0, trust_coefficient=0.1)
        >>> optimizer.build(2, "float64", [optimizers.Segment("kernel", 0, 2)])
        >>> weights = np.array([3.0, 4.0])
        >>> optimizer.apply(weights, np.array([1000.0, 0.0]), divisor=1)
        >>> weights.round(3).tolist()  # a way of length 0.1 * 5
        [2.5, 4.0]
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.01,
        momentum: float = 0.9,
        trust_coefficient: float = 0.001,
        epsilon: float = 1e-7,
        **others: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **others)
        if not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must be a float between [0, 1]. Received: momentum={momentum}")
        self.momentum = momentum
        self.trust_coefficient = trust_coefficient
        self.epsilon = epsilon

    def slot_values(self) -> dict[str, float]:
        """Return ``momentum``."""
        return {"momentum": 0.0}

    def prepare(self, chunk: Chunk, step: Step) -> None:
        """Turn the sum of gradients into their mean."""
        np.multiply(chunk.gradients, step.gradient_scale, out=chunk.gradients)

    def trust_ratio(self, weight_norm: float, direction_norm: float, decay: float) -> float:
        """Return the parameter's rate, for a learning rate of 1.0."""
        return self.trust_coefficient * weight_norm / (direction_norm + decay * weight_norm + self.epsilon)

    def descend(self, chunk: Chunk, learning_rate: float) -> None:
        """Go the direction, with decay and momentum."""
        gradients, velocity = chunk.gradients, chunk.slots["momentum"]
        if chunk.decay:
            np.multiply(chunk.weights, chunk.decay, out=chunk.scratch)
            np.add(gradients, chunk.scratch, out=gradients)
        np.multiply(gradients, learning_rate, out=gradients)
        np.multiply(velocity, self.momentum, out=velocity)
        np.add(velocity, gradients, out=velocity)
        np.subtract(chunk.weights, velocity, out=chunk.weights)
