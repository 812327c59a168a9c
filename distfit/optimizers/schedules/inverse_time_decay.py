"""A learning rate that falls as one over time."""

import math

from distfit.optimizers.schedules.learning_rate_schedule import LearningRateSchedule, check_decay_steps


class InverseTimeDecay(LearningRateSchedule):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: the unit in which steps are counted.
        decay_rate: how much the divisor grows in one unit.
        staircase: change at multiples of `decay_steps` only.
        name: of the schedule.

    Raises:
        ValueError: if `decay_steps` is not above 0.

    Example:
        >>> from distfit.optimizers import schedules
        >>> schedules.InverseTimeDecay(0.8, decay_steps=10, decay_rate=1.5)(20)
        0.2
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        check_decay_steps(decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: int) -> float:
        """Return the learning rate for the update after `step` updates."""
        periods = step / self.decay_steps
        return self.initial_learning_rate / (
            1 + self.decay_rate * (math.floor(periods) if self.staircase else periods)
        )
