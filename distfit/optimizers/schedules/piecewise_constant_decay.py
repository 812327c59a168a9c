"""A learning rate that changes at given steps."""

import bisect
import itertools
from collections.abc import Sequence

from distfit.optimizers.schedules.learning_rate_schedule import LearningRateSchedule


class PiecewiseConstantDecay(LearningRateSchedule):
    """``values[0]`` up to and with step ``boundaries[0]``, ``values[1]`` up to ``boundaries[1]``, and so on.

    Args:
        boundaries: the last steps of all values but the last one, ascending.
        values: one more than boundaries.
        name: of the schedule.

    Raises:
        ValueError: if there is not one value more than boundaries, or these do not ascend.

    Example:
        >>> from distfit.optimizers import schedules
        >>> schedule = schedules.PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.1])
        >>> [schedule(step) for step in (0, 10, 11, 20, 21)]
        [1.0, 1.0, 0.5, 0.5, 0.1]
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "The length of boundaries should be 1 less than the length of values. "
                f"Received: boundaries={boundaries} of length {len(boundaries)}, "
                f"and values={values} of length {len(values)}"
            )
        if any(left >= right for left, right in itertools.pairwise(boundaries)):
            raise ValueError(f"boundaries ascend strictly. Received: boundaries={boundaries}")
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: int) -> float:
        """Return the learning rate for the update after `step` updates."""
        return float(self.values[bisect.bisect_left(self.boundaries, step)])
