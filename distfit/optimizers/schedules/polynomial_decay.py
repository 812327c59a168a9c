"""A learning rate that falls to an end, along a power of the time left."""

import math

from distfit.optimizers.schedules.learning_rate_schedule import LearningRateSchedule, check_decay_steps


class PolynomialDecay(LearningRateSchedule):
    """``(initial - end) * (1 - step / decay_steps) ** power + end``, and `end` from there on.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: when the end is reached.
        end_learning_rate: the rate at the end.
        power: 1.0 for a straight line.
        cycle: at the end go up again, with the next multiple of `decay_steps` in `decay_steps`' place.
        name: of the schedule.

    Raises:
        ValueError: if `decay_steps` is not above 0.

    Example:
        >>> from distfit.optimizers import schedules
        >>> schedules.PolynomialDecay(1.0, decay_steps=10, end_learning_rate=0.5)(5)
        0.75
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        check_decay_steps(decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: int) -> float:
        """Return the learning rate for the update after `step` updates."""
        cycles = max(1, math.ceil(step / self.decay_steps)) if self.cycle else 1
        left = 1 - min(1.0, step / (self.decay_steps * cycles))
        return (self.initial_learning_rate - self.end_learning_rate) * math.pow(
            left, self.power
        ) + self.end_learning_rate
