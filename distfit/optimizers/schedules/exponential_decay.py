"""A learning rate that is multiplied by a factor again and again."""

import math

from distfit.optimizers.schedules.learning_rate_schedule import LearningRateSchedule, check_decay_steps


class ExponentialDecay(LearningRateSchedule):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: after so many steps the rate was multiplied by `decay_rate` once.
        decay_rate: the factor.
        staircase: change at multiples of `decay_steps` only.
        name: of the schedule.

    Raises:
        ValueError: if `decay_steps` is not above 0.

    Example:
        >>> from distfit.optimizers import schedules
        >>> schedules.ExponentialDecay(0.8, decay_steps=100, decay_rate=0.5)(200)
        0.2
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
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
        return self.initial_learning_rate * self.decay_rate ** (
            math.floor(periods) if self.staircase else periods
        )
