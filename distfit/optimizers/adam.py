"""Adam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from distfit.optimizers import adam_loop
from distfit.optimizers.arena import Chunk, Step
from distfit.optimizers.elementwise import ElementwiseOptimizer
from distfit.optimizers.moments import moment_slots, take_adam_step
from distfit.optimizers.parts import Segment
from distfit.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from distfit.optimizers.arguments import OptimizerArguments


class Adam(ElementwiseOptimizer):
    """Steps of about the learning rate's size, whatever the gradient's (Kingma and Ba, 2015).

    Args:
        learning_rate: a number, or a `schedules.LearningRateSchedule`.
        beta_1: how much of the average of gradients a step keeps.
        beta_2: how much of the average of their squares a step keeps.
        epsilon: keeps the divisor from zero; the paper's epsilon hat, as in Keras.
        amsgrad: divide by the largest average so far (Reddi et al., 2018).
        others: see `OptimizerArguments`.

    Example:
        >>> import numpy as np
        >>> from distfit import optimizers
        >>> optimizer = optimizers.Adam(0.1)
        >>> optimizer.build(2, "float64", [optimizers.Segment("kernel", 0, 2)])
        >>> weights = np.zeros(2)
        >>> optimizer.apply(weights, np.array([500.0, -0.5]), divisor=10)
        >>> weights.round(3).tolist()
        [-0.1, 0.1]
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **others: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **others)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad

    def slot_values(self) -> dict[str, float]:
        """Return ``momentum`` and ``velocity``, and ``velocity_hat`` with `amsgrad`."""
        return moment_slots(self.amsgrad)

    def build(self, size: int, dtype: np.dtype | type | str, segments: Sequence[Segment]) -> None:
        """Do what every optimizer does, and compile the step where there are many elements."""
        super().build(size, dtype, segments)
        if size >= adam_loop.SMALLEST and not self.amsgrad:
            adam_loop.prepare(np.dtype(dtype))

    def update(self, chunk: Chunk, step: Step) -> None:
        """Take the step."""
        take_adam_step(chunk, step, self.beta_1, self.beta_2, self.epsilon)
