"""A callback out of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distfit.callbacks.callback import Callback, Ranks
from distfit.callbacks.dispatch.hooks import ALL_HOOKS


class LambdaCallback(Callback):
    """Calls functions as hooks.

    Args:
        on_epoch_begin: called with the epoch's number and the logs; so is `on_epoch_end`.
        on_epoch_end: likewise.
        on_train_begin: called with the logs; so is `on_train_end`.
        on_train_end: likewise.
        on_train_batch_begin: called with the batch's number and the logs; so is `on_train_batch_end`.
        on_train_batch_end: likewise.
        ranks: where they run: ``"all"``, ``"root"`` or ``"local_root"``.
        hooks: any other hook, by its name.

    Raises:
        TypeError: for a name that is no hook.

    Example:
        >>> from distfit import callbacks
        >>> say = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs), ranks="root")
        >>> say.on_epoch_end(0, {"loss": 0.5})
        0 {'loss': 0.5}

    Ranks: as `ranks` says.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        *,
        ranks: Ranks = "all",
        **hooks: Callable[..., Any],
    ) -> None:
        self.ranks = ranks
        named = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        unknown = set(hooks).difference(ALL_HOOKS, ("on_batch_begin", "on_batch_end", "on_exception"))
        if unknown:
            raise TypeError(
                f"no hook is called {', '.join(sorted(unknown))}. Hooks are: {', '.join(ALL_HOOKS)}"
            )
        for name, function in {**named, **hooks}.items():
            if function is not None:
                setattr(self, name, function)
