"""Log values of a custom loop, brought together from all ranks."""

from __future__ import annotations

from typing import Any

import numpy as np

from distfit.callbacks.callback import Logs
from distfit.comm import Communicator, Phase, key_of
from distfit.metrics import Statistic

_EQUAL = 1e-13  # relative: rounding of a sum over ranks


class AggregatedLogs(dict[str, Any]):
    """Logs that are equal on all ranks already, as `Model.train_step` returns them."""


def plain(value: Any) -> Any:
    """Return a log value as a Python float where it is one number."""
    if isinstance(value, (int, float)):
        return float(value)
    array = np.asarray(value)
    return float(array) if array.ndim == 0 and array.dtype.kind in "biuf" else value


def aggregate(logs: Logs | None, comm: Communicator, hook: str) -> Logs:
    """Bring logs together: a metric merges exactly, an equal number passes, differing numbers are averaged.

    Args:
        logs: this rank's; equal keys on all ranks.
        comm: the ranks.
        hook: for which, for errors.

    Returns:
        New logs, sorted by key as in Keras: what a hook adds reaches the hooks behind it, and no later dispatch.

    Raises:
        ValueError: on all ranks, if a key is missing on some.

    Ranks: every rank; two small messages, none for logs that are aggregated or empty.
    """
    if isinstance(logs, AggregatedLogs) or not logs:
        return AggregatedLogs({name: (logs or {})[name] for name in sorted(logs or {})})
    names = sorted(logs)
    _check_keys(names, comm, hook)
    parts = [_state(logs[name]) for name in names]
    # Beside each number stands root's alone, so that all ranks know whether theirs were equal.
    is_root = float(comm.is_root)
    payload = np.concatenate([np.concatenate([part, part * is_root]) for part in parts])
    sums = comm.agreement.agree(Phase.LOGS, payload, key=key_of(hook), name=hook).sums
    aggregated = AggregatedLogs()
    start = 0
    for name, part in zip(names, parts, strict=True):
        total, root = sums[start : start + part.size], sums[start + part.size : start + 2 * part.size]
        start += 2 * part.size
        aggregated[name] = _value(logs[name], total, root, comm.size)
    return aggregated


def _check_keys(names: list[str], comm: Communicator, hook: str) -> None:
    """Raise on all ranks if they have different keys."""
    known = comm.all_gather_object(names)
    everywhere = set(known[0]).intersection(*known)
    for rank, keys in enumerate(known):
        for key in keys:
            if key not in everywhere:
                missing = [r for r, others in enumerate(known) if key not in others]
                raise ValueError(
                    f"the logs of {hook} have the key {key!r} on rank {rank}, but not on ranks {missing}. Give the same"
                    " keys on all ranks; what only root knows, a callback with ranks = 'root' adds"
                )


def _state(value: Any) -> np.ndarray:
    if not isinstance(value, Statistic):
        return np.asarray(value, np.float64).reshape(-1)
    state = value.state()
    return np.concatenate([np.ravel(state[name]).astype(np.float64) for name in value.fields])


def _value(given: Any, total: np.ndarray, root: np.ndarray, size: int) -> Any:
    if isinstance(given, Statistic):
        state, start = {}, 0
        for name, field in given.fields.items():
            length = int(np.prod(field.shape))
            state[name] = total[start : start + length].reshape(field.shape)
            start += length
        return plain(given.compute(state))
    mean = total / size
    equal = np.abs(mean - root) <= _EQUAL * np.abs(root)
    return plain(np.where(equal, root, mean).reshape(np.shape(given)))
