"""A learning rate that is a function of the step."""

from abc import ABC, abstractmethod

from distfit.utils.configured import Configured


class LearningRateSchedule(Configured, ABC):
    """Base of all schedules, a user's own included.

    A schedule has no state: its value follows from the number of updates alone, so that it is equal on all
    ranks and goes on exactly from a checkpoint.

    Example:
        >>> from distfit import optimizers
        >>> class Harmonic(optimizers.schedules.LearningRateSchedule):
        ...     def __call__(self, step):
        ...         return 0.5 / (step + 1)
        >>> optimizer = optimizers.SGD(Harmonic())
        >>> optimizer.iterations = 4
        >>> optimizer.learning_rate
        0.1
    """

    @abstractmethod
    def __call__(self, step: int) -> float:
        """Return the learning rate for the update after `step` updates. Pure.

        Ranks: local.
        """


def check_decay_steps(decay_steps: float) -> None:
    """Raise unless the decay takes time.

    Raises:
        ValueError: if `decay_steps` is not above 0.

    Ranks: local.
    """
    if not decay_steps > 0:
        raise ValueError(f"Argument `decay_steps` must be > 0. Received: decay_steps={decay_steps}")
