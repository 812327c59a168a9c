"""Log values of a custom loop, brought together from all ranks."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from distfit.callbacks.callback import Logs
from distfit.comm import Communicator, Phase, key_of, pack, unpack
from distfit.metrics import Statistic

if TYPE_CHECKING:
    from typing_extensions import Self

_NUMBERS = "biuf"  # the kinds of NumPy's types that have an average


class AggregatedLogs(dict[str, Any]):
    """Logs that are equal on all ranks already, as `Model.train_step` returns them.

    Attributes:
        changed: True once somebody wrote to them: they may differ then, and are brought together again.
    """

    changed = False

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

    def __delitem__(self, name: str) -> None:
        self.changed = True
        super().__delitem__(name)

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc, override]
        self.update(other)
        return self


def combined(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return logs together, as aggregated ones if all of them are."""
    together = {name: value for part in parts for name, value in part.items()}
    return AggregatedLogs(together) if all(is_aggregated(part) for part in parts) else together


def is_aggregated(logs: dict[str, Any]) -> bool:
    """Say whether logs are known to be equal on all ranks; no logs at all are."""
    return not logs or (isinstance(logs, AggregatedLogs) and not logs.changed)


def plain(value: Any) -> Any:
    """Return a log value as a Python float where it is one number."""
    if isinstance(value, (int, float)):
        return float(value)
    array = np.asarray(value)
    return float(array) if array.ndim == 0 and array.dtype.kind in _NUMBERS else value


def aggregate(logs: Logs | None, comm: Communicator, hook: str) -> Logs:
    """Bring logs together: a metric merges exactly, an equal value passes, differing numbers are averaged.

    Of what has no average, such as text, root's holds.

    Args:
        logs: this rank's; equal keys on all ranks. Dicts within are flattened, as in Keras.
        comm: the ranks.
        hook: for which, for errors.

    Returns:
        New logs, sorted by key as in Keras: what a hook adds reaches the hooks behind it, and no later dispatch.

    Raises:
        TypeError: on all ranks, if a value cannot be sent.
        ValueError: on all ranks, if a key is missing on some.

    Ranks: every rank; one small message and the values, nothing for logs that are aggregated or empty.
    """
    if not logs or is_aggregated(logs):
        return AggregatedLogs(sorted((logs or {}).items()))
    logs = _flat(logs)
    packed = pack({name: _part(value) for name, value in logs.items()})
    comm.agreement.agree(Phase.LOGS, key=key_of(hook), name=hook)
    parts = [unpack(one) for one in comm.transport.all_gather_bytes(packed)]
    _check_keys(parts, hook)
    return AggregatedLogs({name: _whole(logs[name], [part[name] for part in parts]) for name in sorted(logs)})


def _flat(logs: Logs) -> Logs:
    flat: Logs = {}
    for name, value in logs.items():
        flat.update(_flat(value) if isinstance(value, dict) else {name: value})
    return flat


def _check_keys(parts: list[Logs], hook: str) -> None:
    """Raise on all ranks if they have different keys."""
    everywhere = set(parts[0]).intersection(*parts)
    for rank, part in enumerate(parts):
        for key in sorted(part):
            if key not in everywhere:
                missing = [r for r, others in enumerate(parts) if key not in others]
                raise ValueError(
                    f"the logs of {hook} have the key {key!r} on rank {rank}, but not on ranks {missing}. Give the same"
                    " keys on all ranks; what only root knows, a callback with ranks = 'root' adds"
                )


def _part(value: Any) -> Any:
    """Return what a rank contributes to a value."""
    return value.state() if isinstance(value, Statistic) else plain(value)


def _whole(given: Any, parts: list[Any]) -> Any:
    """Return the value that the ranks' contributions make."""
    if isinstance(given, Statistic):
        return plain(given.compute(functools.reduce(given.merge, parts)))
    root = parts[0]
    if all(np.array_equal(part, root) for part in parts):
        return root
    return plain(np.mean(parts, axis=0)) if np.asarray(root).dtype.kind in _NUMBERS else root
