"""A learning rate that falls along half a cosine, after a linear rise."""

import math

from distfit.optimizers.schedules.learning_rate_schedule import LearningRateSchedule, check_decay_steps


class CosineDecay(LearningRateSchedule):
    """Half a cosine down (Loshchilov and Hutter, 2017), after a linear warmup (Goyal et al., 2017) or none.

    With a large global batch, start low and warm up to the batch's own rate.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: how long the cosine takes.
        alpha: the rate at the end, as a fraction of the rate at the cosine's top.
        name: of the schedule.
        warmup_target: the rate at the cosine's top; None to start there, at `initial_learning_rate`.
        warmup_steps: how long the rise to `warmup_target` takes, before the cosine.

    Raises:
        ValueError: if `decay_steps` is not above 0.

    Example:
        >>> from distfit.optimizers import schedules
        >>> schedule = schedules.CosineDecay(0.0, decay_steps=100, warmup_target=0.8, warmup_steps=10)
        >>> [round(schedule(step), 3) for step in (0, 5, 10, 60, 110, 200)]
        [0.0, 0.4, 0.8, 0.4, 0.0, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        check_decay_steps(decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: int) -> float:
        """Return the learning rate for the update after `step` updates."""
        if self.warmup_target is None:
            return self._decayed(self.initial_learning_rate, step)
        if step < self.warmup_steps:
            rise = self.warmup_target - self.initial_learning_rate
            return self.initial_learning_rate + rise * step / self.warmup_steps
        return self._decayed(self.warmup_target, step - self.warmup_steps)

    def _decayed(self, top: float, step: float) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.decay_steps)))
        return top * ((1 - self.alpha) * cosine + self.alpha)
