"""Where a scheduler of torch is, as numbers by name: what checkpoints and ranks can hold of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def numbers_of(state: Any, path: str) -> dict[str, float]:
    """Return all numbers of a scheduler's `state_dict`, by their path in it.

    Args:
        state: the dict, or a part of it.
        path: of this part.

    Ranks: local.

    Example:
        >>> numbers_of({"last_epoch": 3, "_last_lr": [0.1, 0.2]}, "scheduler")
        {'scheduler/last_epoch': 3.0, 'scheduler/_last_lr/0': 0.1, 'scheduler/_last_lr/1': 0.2}
    """
    if _is_number(state):
        return {path: float(state)}
    found: dict[str, float] = {}
    for name, part in _parts(state):
        found.update(numbers_of(part, f"{path}/{name}"))
    return found


def with_numbers(state: Any, numbers: Mapping[str, float], path: str) -> Any:
    """Return a `state_dict` with other numbers in the same places.

    Args:
        state: the dict, or a part of it.
        numbers: what `numbers_of` returned.
        path: of this part.

    Ranks: local.

    Example:
        >>> with_numbers({"last_epoch": 3}, {"scheduler/last_epoch": 7.0}, "scheduler")
        {'last_epoch': 7}
    """
    if _is_number(state):
        return type(state)(numbers.get(path, state))
    if isinstance(state, dict):
        return {name: with_numbers(part, numbers, f"{path}/{name}") for name, part in state.items()}
    if isinstance(state, list):
        return [with_numbers(part, numbers, f"{path}/{name}") for name, part in enumerate(state)]
    return state


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _parts(state: Any) -> list[tuple[Any, Any]]:
    if isinstance(state, dict):
        return list(state.items())
    return list(enumerate(state)) if isinstance(state, list) else []
