"""LAMB: Adam for large global batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from distfit.optimizers.arena import Chunk, Step, decay_weights
from distfit.optimizers.layerwise import LayerwiseOptimizer
from distfit.optimizers.moments import moment_slots, update_moments
from distfit.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from distfit.optimizers.arguments import OptimizerArguments


class Lamb(LayerwiseOptimizer):
    """Adam's direction, with a step for each parameter that is relative to its weights (You et al., 2020).

    A parameter goes ``learning_rate * norm(w) / norm(u) * u``, u being ``m_hat / (sqrt(v_hat) + epsilon)``.
    As in Keras, weight decay is decoupled: it shrinks the weights before, where the paper adds it to u.

    Args:
        learning_rate: a number, or a `schedules.LearningRateSchedule`.
        beta_1: how much of the average of gradients a step keeps.
        beta_2: how much of the average of their squares a step keeps.
        epsilon: keeps the divisor from zero.
        others: see `OptimizerArguments`.

    Example:
        >>> import numpy as np
        >>> from distfit import optimizers
        >>> optimizer = optimizers.Lamb(0.1)
        >>> optimizer.build(2, "float64", [optimizers.Segment("kernel", 0, 2)])
        >>> weights = np.array([3.0, 4.0])
        >>> optimizer.apply(weights, np.array([7.0, -2.0]), divisor=1)
        >>> weights.round(4).tolist()  # a way of length 0.1 * 5
        [2.6464, 4.3536]
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **others: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **others)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def slot_values(self) -> dict[str, float]:
        """Return ``momentum`` and ``velocity``."""
        return moment_slots(amsgrad=False)

    def prepare(self, chunk: Chunk, step: Step) -> None:
        """Decay the weights, update the moments, and write Adam's direction."""
        decay_weights(chunk, step)
        update_moments(chunk, step, self.beta_1, self.beta_2)
        direction = chunk.gradients
        np.multiply(chunk.slots["velocity"], 1.0 / (1.0 - self.beta_2**step.number), out=direction)
        np.sqrt(direction, out=direction)
        np.add(direction, self.epsilon, out=direction)
        np.divide(chunk.slots["momentum"], direction, out=direction)
        np.multiply(direction, 1.0 / (1.0 - self.beta_1**step.number), out=direction)

    def trust_ratio(self, weight_norm: float, direction_norm: float, decay: float) -> float:  # noqa: ARG002
        """Return ``norm(w) / norm(u)``."""
        return weight_norm / direction_norm

    def descend(self, chunk: Chunk, learning_rate: float) -> None:
        """Go the direction."""
        np.multiply(chunk.gradients, learning_rate, out=chunk.gradients)
        np.subtract(chunk.weights, chunk.gradients, out=chunk.weights)
