"""What callbacks decided, as riders of a message: stop flags, and the optimizer's numbers, of which root's hold."""

from __future__ import annotations

import itertools
from typing import Any, Protocol

from distfit.comm import FINGERPRINT, RIDERS, Communicator, all_equal, fingerprint, pack, unpack
from distfit.utils.configured import describe

Numbers = dict[str, float]
Settings = dict[str, Any]
Present = tuple[list[float], Numbers]

FLAGS = ("stop_training", "stop_evaluating", "stop_predicting", "interrupted")
_COMMON = slice(0, len(FLAGS))
_NOW = slice(len(FLAGS), 2 * len(FLAGS))
_OF_NUMBERS = slice(_NOW.stop, _NOW.stop + FINGERPRINT)
_OF_SETTINGS = slice(_OF_NUMBERS.stop, _OF_NUMBERS.stop + FINGERPRINT)
_MOST_NUMBERS = RIDERS - _OF_SETTINGS.stop


class Optimized(Protocol):
    """What has an optimizer: the shared state of a model."""

    def numbers(self) -> Numbers:
        """Return the optimizer's numbers that change often."""

    def set_numbers(self, numbers: Numbers) -> None:
        """Set what `numbers` returned."""

    def settings(self) -> Settings:
        """Return all else that an update of the optimizer's depends on."""

    def set_settings(self, settings: Settings) -> None:
        """Set what `settings` returned."""


class Decisions:
    """Lets what callbacks decided hold on all ranks, wherever they ran.

    A flag that was equal on all ranks before some of them ran a hook is what these made of it, up or down. A flag that
    differed is up. The optimizer's numbers are root's, which is said once where ranks had made them different.

    Args:
        model: has the flags; None has none.
        optimized: has the optimizer.
    """

    def __init__(self, model: Any, optimized: Optimized) -> None:
        self._model = model
        self._optimized = optimized
        self._offered: Numbers = {}
        self._fingerprint: tuple[Numbers, list[float]] = ({}, fingerprint(repr({})))
        self._settings: tuple[Settings, list[float], bytes] = ({}, fingerprint(""), pack({}))

    def present(self) -> Present:
        """Return the flags and numbers as they are here and now.

        Ranks: local.
        """
        flags = [float(getattr(self._model, flag, False)) for flag in FLAGS]
        return flags, self._optimized.numbers()

    def offer(self, comm: Communicator, common: Present | None = None) -> list[float]:
        """Return the riders of a message behind which all ranks call `settle`.

        Args:
            comm: the ranks.
            common: what should be equal on all of them: what was present before only some of them ran a hook. Defaults
                to what is present now.

        Raises:
            TypeError: if a setting cannot be sent.

        Ranks: local.
        """
        flags, numbers = self.present()
        self._offered = dict(itertools.islice(numbers.items(), _MOST_NUMBERS))
        common_flags, common_numbers = common or (flags, numbers)
        if common_numbers != self._fingerprint[0]:
            self._fingerprint = common_numbers, fingerprint(repr(common_numbers))
        settings = self._optimized.settings()
        if settings != self._settings[0]:
            self._settings = settings, fingerprint(describe(settings)), pack(settings)
        values = self._offered.values() if comm.is_root else [0.0] * len(self._offered)
        return [*common_flags, *flags, *self._fingerprint[1], *self._settings[1], *values]

    def settle(self, comm: Communicator, riders: list[float], where: str) -> bool:
        """Make the decisions hold here.

        Args:
            comm: the ranks.
            riders: the sums over all ranks.
            where: what the ranks have done, for what is said of a difference.

        Returns:
            Whether they were others on some ranks, where something was set now that could fail; alike on all ranks.

        Ranks: every rank, directly behind the message; root's settings and a small message, if they differ.
        """
        if not all_equal(riders[_OF_SETTINGS]):
            self._optimized.set_settings(unpack(comm.transport.broadcast_bytes(self._settings[2])))
            # What root sent may be unknown to one rank, which must not leave the others in a reduction that follows.
            comm.reach("the optimizer's settings are root's")
        values = riders[_OF_SETTINGS.stop :][: len(self._offered)]
        if values != list(self._offered.values()):
            numbers = self._optimized.numbers() | dict(zip(self._offered, values, strict=True))
            self._optimized.set_numbers(numbers)
        for flag, common, up in zip(FLAGS, riders[_COMMON], riders[_NOW], strict=True):
            self._set(flag, up == comm.size if common == comm.size else up > 0 or common > 0)
        if not all_equal(riders[_OF_NUMBERS]):
            text = ", ".join(f"{name} = {value:g}" for name, value in self._optimized.numbers().items())
            comm.announce(
                f"{where}, the ranks had different numbers of the optimizer. Root's hold on all: {text}. What is drawn"
                " by chance, or depends on the rank, belongs to a callback with ranks = 'root'.",
                once="different numbers",
            )
        return not all_equal(riders[_OF_NUMBERS]) or any(0 < up < comm.size for up in riders[_NOW])

    def raise_flags(self, *flags: str) -> None:
        """Raise flags here, as all ranks do.

        Ranks: local.
        """
        for flag in flags:
            self._set(flag, True)

    def _set(self, flag: str, raised: bool) -> None:
        if self._model is not None and bool(getattr(self._model, flag, False)) != raised:
            setattr(self._model, flag, raised)
