"""Two things measured in turn, so that what else the machine does falls on both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Action = Callable[[], object]
Timed = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How long two things took, turn by turn.

    Attributes:
        first: seconds of the one.
        second: seconds of the other.
    """

    first: list[float]
    second: list[float]

    @property
    def medians(self) -> tuple[float, float]:
        """Seconds of the one and of the other."""
        return statistics.median(self.first), statistics.median(self.second)

    @property
    def ratio(self) -> float:
        """The first's median by the second's."""
        first, second = self.medians
        return first / second

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles of the single turns' ratios."""
        return quartiles([one / other for one, other in zip(self.first, self.second, strict=True)])


def seconds(action: Action) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def alternate(first: Timed, second: Timed, alternations: int) -> Comparison:
    """Measure two things in turn, after each has run once unmeasured.

    Which goes first changes from turn to turn: a drift, such as a processor that grows warm, then favours neither.

    Args:
        first: does the one, and returns its seconds.
        second: does the other.
        alternations: how often.
    """
    return Comparison(*take_turns((first, second), alternations))


def take_turns(actions: Sequence[Timed], alternations: int) -> list[list[float]]:
    """Measure several things in turn, as `alternate` does; and return the seconds of each."""
    for action in actions:
        action()
    times: list[list[float]] = [[] for _ in actions]
    for turn in range(alternations):
        order = range(len(actions)) if turn % 2 == 0 else reversed(range(len(actions)))
        for side in order:
            times[side].append(actions[side]())
    return times


def quartiles(values: list[float]) -> tuple[float, float]:
    """Return the lower and the upper quartile; of a single value, this value twice."""
    if len(values) < 2:
        return values[0], values[0]
    lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
    return lower, upper
