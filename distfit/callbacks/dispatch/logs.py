"""Logs: what hooks are told, and whether it is known to be equal on all ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from typing_extensions import Self

_NUMBERS = "biuf"  # the kinds of NumPy's types that are numbers


class AggregatedLogs(dict[str, Any]):
    """Logs that are equal on all ranks already, as `Model.train_step` returns them.

    Attributes:
        changed: True once somebody wrote to them: they may differ then, and are brought together again.
    """

    changed = False

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> AggregatedLogs:
        """Return values that are equal on all ranks as hooks see them: sorted by key, each a float.

        A value for each of several classes becomes one for each key: ``f1_score_0``, ``f1_score_1``.
        """
        return cls(sorted(_spread(values).items()))

    def __setitem__(self, name: str, value: Any) -> None:
        self.changed = True
        super().__setitem__(name, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Write several values."""
        self.changed = True
        super().update(*args, **kwargs)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Write a value where there is none."""
        self.changed = True
        return super().setdefault(name, default)

    def pop(self, *args: Any) -> Any:
        """Take a value away."""
        self.changed = True
        return super().pop(*args)

    def popitem(self) -> tuple[str, Any]:
        """Take the last value away."""
        self.changed = True
        return super().popitem()

    def clear(self) -> None:
        """Take all values away."""
        self.changed = True
        super().clear()

    def __delitem__(self, name: str) -> None:
        self.changed = True
        super().__delitem__(name)

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc, override]
        self.update(other)
        return self


def is_aggregated(logs: Mapping[str, Any]) -> bool:
    """Say whether logs are known to be equal on all ranks; no logs at all are."""
    return not logs or (isinstance(logs, AggregatedLogs) and not logs.changed)


def combined(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return logs together, as aggregated ones if all of them are."""
    together = {name: value for part in parts for name, value in part.items()}
    return AggregatedLogs(sorted(together.items())) if all(map(is_aggregated, parts)) else together


def plain(value: Any) -> Any:
    """Return a log value as a Python float where it is one number."""
    if isinstance(value, (int, float)):
        return float(value)
    array = np.asarray(value)
    return float(array) if array.ndim == 0 and array.dtype.kind in _NUMBERS else value


def is_number(value: Any) -> bool:
    """Say whether a value is a number, or an array of them: what has an average."""
    return np.asarray(value).dtype.kind in _NUMBERS


def _spread(values: Mapping[str, Any]) -> dict[str, Any]:
    spread: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, np.ndarray) and value.ndim == 1 and is_number(value):
            spread.update({f"{name}_{index}": float(one) for index, one in enumerate(value)})
        else:
            spread[name] = plain(value)
    return spread
