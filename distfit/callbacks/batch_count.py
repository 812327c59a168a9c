"""Something to do after so many batches: how many that is, and when it is."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any


def batches_between(name: str, value: Any, words: Mapping[str, int]) -> int:
    """Return how many batches lie between two times; 0 where it is for epochs alone.

    Args:
        name: of the argument, for the error.
        value: one of the words, or a number.
        words: what they stand for.

    Raises:
        ValueError: for another word, or a number that is none of batches.

    Ranks: local.
    """
    if isinstance(value, str) and value in words:
        return words[value]
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1:
        known = ", ".join(map(repr, words))
        raise ValueError(f"{name} is {known} or a number of batches. Received: {value!r}")
    return int(value)


class CountsBatches:
    """What callbacks that do something after so many batches have in common: the count, across epochs.

    One call of a batch hook stands for several batches where ``steps_per_execution`` says so.
    """

    _batches = 0
    _last_batch = -1

    def _begin_count(self) -> None:
        self._batches = 0

    def _begin_epoch(self) -> None:
        self._last_batch = -1

    def _count(self, batch: int, every: int) -> bool:
        """Count the batches up to this one, and say whether a multiple of `every` is among them."""
        before = self._batches
        self._batches += batch - self._last_batch
        self._last_batch = batch
        return self._batches // every > before // every
