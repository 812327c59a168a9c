"""Gradient descent, with momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from distfit.optimizers.arena import Chunk, Step
from distfit.optimizers.elementwise import ElementwiseOptimizer
from distfit.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from distfit.optimizers.arguments import OptimizerArguments


class SGD(ElementwiseOptimizer):
    """``w += velocity`` with ``velocity = momentum * velocity - learning_rate * g`` (Polyak, 1964).

    With `nesterov`, ``w += momentum * velocity - learning_rate * g`` (Sutskever et al., 2013). Without
    momentum there is no slot, and it is plain gradient descent.

    Args:
        learning_rate: a number, or a `schedules.LearningRateSchedule`.
        momentum: from 0 to 1.
        nesterov: look ahead.
        others: see `OptimizerArguments`.

    Raises:
        ValueError: if the momentum is out of its range.

    Example:
        >>> import numpy as np
        >>> from distfit import optimizers
        >>> optimizer = optimizers.SGD(0.5)
        >>> optimizer.build(2, "float32", [optimizers.Segment("kernel", 0, 2)])
        >>> weights = np.ones(2, np.float32)
        >>> optimizer.apply(weights, np.array([4.0, 8.0], np.float32), divisor=4)
        >>> weights.tolist()
        [0.5, 0.0]
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **others: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **others)
        if not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must be a float between [0, 1]. Received: momentum={momentum}")
        self.momentum = momentum
        self.nesterov = nesterov

    def slot_values(self) -> dict[str, float]:
        """Return ``momentum``, if there is any."""
        return {"momentum": 0.0} if self.momentum else {}

    def update(self, chunk: Chunk, step: Step) -> None:
        """Take the step."""
        weights, gradients = chunk.weights, chunk.gradients
        np.multiply(gradients, -step.learning_rate * step.gradient_scale, out=gradients)
        if not self.momentum:
            np.add(weights, gradients, out=weights)
            return
        velocity = chunk.slots["momentum"]
        np.multiply(velocity, self.momentum, out=velocity)
        np.add(velocity, gradients, out=velocity)
        if self.nesterov:
            np.multiply(velocity, self.momentum, out=chunk.scratch)
            np.add(weights, gradients, out=weights)
            np.add(weights, chunk.scratch, out=weights)
        else:
            np.add(weights, velocity, out=weights)
