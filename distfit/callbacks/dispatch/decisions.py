"""The optimizer's numbers, such as the learning rate, as part of a message: root's hold on all ranks."""

from __future__ import annotations

import warnings
from typing import Protocol

from distfit.comm import FINGERPRINT, Communicator, all_equal, fingerprint

Numbers = dict[str, float]


class HasNumbers(Protocol):
    """What holds the numbers: the shared state of a model."""

    def numbers(self) -> Numbers:
        """Return the optimizer's numbers that callbacks may change."""

    def set_numbers(self, numbers: Numbers) -> None:
        """Set what `numbers` returned."""


class RootNumbers:
    """Lets root's numbers hold on all ranks, and warns once where ranks had made them different.

    Args:
        shared: what holds them.
    """

    def __init__(self, shared: HasNumbers) -> None:
        self._shared = shared
        self._offered: Numbers = {}
        self._fingerprint: tuple[Numbers, list[float]] = ({}, fingerprint(repr({})))
        self._differed = False
        self._has_warned = False

    def offer(self, comm: Communicator, common: Numbers | None = None) -> list[float]:
        """Return what this rank adds to a message; `take` gets as many numbers.

        Args:
            comm: the ranks.
            common: the numbers that should be equal on all ranks. Defaults to the present ones, which a callback on
                root alone may have changed.

        Ranks: local.
        """
        self._offered = self._shared.numbers()
        common = self._offered if common is None else common
        if common != self._fingerprint[0]:
            self._fingerprint = common, fingerprint(repr(common))
        values = [1.0, *self._offered.values()]
        return [*self._fingerprint[1], *(values if comm.is_root else [0.0] * len(values))]

    def take(self, sums: list[float]) -> None:
        """Take root's numbers, if it offered any, from the sums over all ranks.

        Ranks: local, on all ranks alike, behind `offer`; nothing in here can fail.
        """
        is_there, *values = sums[FINGERPRINT:]
        self._differed |= not all_equal(sums[:FINGERPRINT])
        if is_there and values != list(self._offered.values()):
            self._shared.set_numbers(dict(zip(self._offered, values, strict=True)))

    def warn(self, comm: Communicator, where: str) -> None:
        """Warn, the first time, if ranks differed. To be called when nothing waits for this rank.

        Ranks: local; root warns.
        """
        differed, self._differed = self._differed, False
        if differed and comm.is_root and not self._has_warned:
            self._has_warned = True
            text = ", ".join(f"{name} = {value:g}" for name, value in self._shared.numbers().items())
            warnings.warn(
                f"{where} left the ranks with different numbers of the optimizer; root's hold on all: {text}. What is"
                " drawn by chance, or depends on the rank, belongs to a callback with ranks = 'root'",
                stacklevel=3,
            )
