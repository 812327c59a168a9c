"""Which hooks a callback has: one that it does not override costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distfit.callbacks.callback import Callback, Ranks

PHASE_HOOKS = (
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end",
    "on_test_begin", "on_test_end", "on_predict_begin", "on_predict_end", "on_interrupt",
)  # fmt: skip
BATCH_HOOKS = (
    "on_train_batch_begin", "on_train_batch_end", "on_test_batch_begin", "on_test_batch_end",
    "on_predict_batch_begin", "on_predict_batch_end",
)  # fmt: skip
ALL_HOOKS = PHASE_HOOKS + BATCH_HOOKS

_ALIASES = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}
_KERAS = ("keras", "tf_keras", "tensorflow")


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook that a callback overrides.

    Attributes:
        call: the bound method.
        ranks: where it runs.
        name: of callback and hook, for messages: ``"EarlyStopping.on_epoch_end"``.
        reads_agreed_logs: see `Callback`.
        is_own: whether it is distfit's code, which writes the same to the logs on all ranks.
    """

    call: Callable[..., None]
    ranks: Ranks
    name: str
    reads_agreed_logs: bool = False
    is_own: bool = False


def hook_of(callback: Any, hook: str) -> Callable[..., None] | None:
    """Return the method to call for a hook, or None where it would do nothing.

    A callback overrides a hook by its class, by an attribute of the object, or by the hook's older name
    (``on_batch_end``). What it inherits from distfit's or Keras's `Callback` does nothing.
    """
    alias = _ALIASES.get(hook, hook)
    if _overrides(callback, hook) or _overrides(callback, alias) or _declares(callback, hook):
        return _method(callback, hook) or _method(callback, alias)
    return None


def _method(callback: Any, name: str) -> Callable[..., None] | None:
    method = getattr(callback, name, None)
    return method if callable(method) else None


def _overrides(callback: Any, name: str) -> bool:
    """Say whether anything but a base of callbacks gives the object this method."""
    if name not in getattr(callback, "__dict__", ()):
        definer = next((cls for cls in type(callback).__mro__ if name in vars(cls)), None)
        if definer is not None and _is_base(definer):
            return False
    return _method(callback, name) is not None


def _is_base(cls: type) -> bool:
    return cls is Callback or (cls.__name__ == "Callback" and cls.__module__.partition(".")[0] in _KERAS)


def _declares(callback: Any, hook: str) -> bool:
    """Say whether a callback of Keras's, such as tqdm's, announces batch hooks that it makes later."""
    phase = hook.split("_")[1]
    declaration = getattr(callback, f"_implements_{phase}_batch_hooks", None)
    return hook in BATCH_HOOKS and callable(declaration) and bool(declaration())
