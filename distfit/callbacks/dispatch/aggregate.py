"""Log values of a loop of one's own, brought together from all ranks."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from distfit.callbacks.callback import Logs
from distfit.callbacks.dispatch.logs import AggregatedLogs, is_aggregated, is_number, plain
from distfit.comm import Communicator, Phase, key_of, pack, unpack
from distfit.metrics import Statistic


@dataclass(frozen=True, slots=True)
class Weighted:
    """A mean over some rows, and how many: as a log value it becomes the mean over the rows of all ranks.

    Attributes:
        value: the mean; a number, or an array of them.
        count: of how many rows, or the sum of their weights. 0 on a rank without rows.

    Example:
        >>> from distfit import callbacks
        >>> history = callbacks.History()
        >>> hooks = callbacks.CallbackList([history])
        >>> hooks.on_epoch_end(0, {"loss": callbacks.Weighted(0.5, count=32)})
        >>> history.history
        {'loss': [0.5]}

    Ranks: each gives its own; `CallbackList` brings them together.
    """

    value: Any
    count: float


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
        ValueError: on all ranks, if a key is missing on some, or its values are of different kinds.

    Ranks: every rank; one small message and the values, nothing for logs that are aggregated or empty.
    """
    if logs is None or is_aggregated(logs):
        return dict(logs or {})
    own = _flat(logs)
    packed = pack({name: _part(value) for name, value in own.items()})
    comm.agreement.agree(Phase.LOGS, key=key_of(hook), name=hook)
    parts = [unpack(one) for one in comm.transport.all_gather_bytes(packed)]
    _check_keys(parts, hook)
    return _brought_together(own, parts, hook)


def aggregate_alone(logs: Logs | None) -> Logs:
    """Return the logs of a rank that is alone, as `aggregate` does.

    Ranks: local.
    """
    if logs is None:
        return {}
    if type(logs) is AggregatedLogs and not logs.changed:
        return logs.copy()
    own = _flat(logs)
    return _brought_together(own, [{name: _part(value) for name, value in own.items()}], "")


def _flat(logs: Logs) -> Logs:
    flat: Logs = {}
    for name, value in logs.items():
        flat.update(_flat(value) if isinstance(value, dict) else {name: value})
    return flat


def _part(value: Any) -> Any:
    """Return what a rank contributes to a value."""
    if isinstance(value, Statistic):
        return _State(value.state())
    return value if isinstance(value, Weighted) else plain(value)


@dataclass(frozen=True, slots=True)
class _State:
    """The state of a metric: what is left of one on its way to other ranks, which have the metric themselves."""

    fields: dict[str, np.ndarray]


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


def _brought_together(own: Logs, parts: list[Logs], hook: str) -> Logs:
    whole = {
        name: _whole(
            own[name], [part[name] for part in parts], f"the value of {name!r} in the logs of {hook}"
        )
        for name in own
    }
    return dict(AggregatedLogs.of(whole))


def _whole(own: Any, parts: list[Any], what: str) -> Any:
    """Return the value that the ranks' contributions make."""
    if len({_kind(part) for part in parts}) > 1:
        raise ValueError(
            f"{what} is of different kinds on the ranks: {', '.join(sorted(map(_kind, parts)))}. Give the same on all"
        )
    if isinstance(own, Statistic):
        return own.compute(functools.reduce(own.merge, [part.fields for part in parts]))
    if isinstance(own, Weighted):
        return _weighted_mean(parts)
    root = parts[0]
    if all(np.array_equal(part, root) for part in parts):
        return root
    return np.mean(parts, axis=0) if is_number(root) else root


def _kind(part: Any) -> str:
    """Return in words what can be brought together with its like alone."""
    if isinstance(part, _State):
        return "a metric"
    if isinstance(part, Weighted):
        return f"a Weighted of shape {np.shape(part.value)}"
    return f"numbers of shape {np.shape(part)}" if is_number(part) else f"a {type(part).__name__}"


def _weighted_mean(parts: list[Weighted]) -> Any:
    """Return the mean over all rows; 0.0 where there are none. A rank without rows may have any mean, such as NaN."""
    filled = [part for part in parts if part.count]
    if not filled:
        return 0.0
    return np.average([part.value for part in filled], axis=0, weights=[part.count for part in filled])
