"""Which hooks a callback has: a hook that it does not override costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distfit.callbacks.callback import Callback, Ranks

PHASE_HOOKS = (
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end",
    "on_test_begin", "on_test_end", "on_predict_begin", "on_predict_end",
)  # fmt: skip
BATCH_HOOKS = (
    "on_train_batch_begin", "on_train_batch_end", "on_test_batch_begin", "on_test_batch_end",
    "on_predict_batch_begin", "on_predict_batch_end",
)  # fmt: skip
ALL_HOOKS = PHASE_HOOKS + BATCH_HOOKS

_ALIASES = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook that a callback overrides.

    Attributes:
        call: the bound method.
        ranks: where it runs.
        name: of callback and hook, for messages: ``"EarlyStopping.on_epoch_end"``.
    """

    call: Callable[..., None]
    ranks: Ranks
    name: str


def ranks_of(callback: Any) -> Ranks:
    """Return where a callback's hooks run: on root, for what is no callback of distfit.

    Raises:
        ValueError: for another word than the three.
    """
    ranks: Ranks = callback.ranks if isinstance(callback, Callback) else "root"
    if ranks not in ("all", "root", "local_root"):
        raise ValueError(
            f"{type(callback).__name__}.ranks is one of 'all', 'root' and 'local_root'. Received: {ranks!r}"
        )
    return ranks


def overridden(callbacks: list[Any], hook: str) -> list[Hook]:
    """Return the hooks of that name which do something, in the callbacks' order."""
    return [
        Hook(getattr(callback, hook), ranks_of(callback), f"{type(callback).__name__}.{hook}")
        for callback in callbacks
        if _overrides(callback, hook)
    ]


def runs(hooks: list[Hook]) -> list[tuple[Ranks, list[Hook]]]:
    """Divide hooks into runs of neighbours with equal ranks."""
    divided: list[tuple[Ranks, list[Hook]]] = []
    for hook in hooks:
        if divided and divided[-1][0] == hook.ranks:
            divided[-1][1].append(hook)
        else:
            divided.append((hook.ranks, [hook]))
    return divided


def _overrides(callback: Any, hook: str) -> bool:
    """Say whether calling the hook does more than nothing: by its class, by an attribute of the object, by an alias."""
    if not isinstance(callback, Callback):
        return callable(getattr(callback, hook, None))
    for name in (hook, _ALIASES.get(hook, hook)):
        if name in vars(callback) or getattr(type(callback), name) is not getattr(Callback, name):
            return True
    return False
