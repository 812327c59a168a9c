"""On which ranks a callback runs: as its class says, or as somebody else says of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from numbers import Number
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, get_args

from distfit.callbacks.callback import Callback, Ranks


@dataclass(frozen=True, slots=True)
class Placed:
    """A callback, and where it runs.

    Attributes:
        callback: any object with hooks, or lists of them.
        ranks: ``"all"``, ``"root"`` or ``"local_root"``.
    """

    callback: Any
    ranks: Ranks


def on_root(callback: Any) -> Placed:
    """Let a callback run on root alone, whatever its class says.

    Args:
        callback: any object with hooks, or a list of them.

    Example:
        >>> from distfit import callbacks
        >>> callbacks.CallbackList(callbacks.on_root(callbacks.EarlyStopping())).places()
        'EarlyStopping on root'

    Ranks: local.
    """
    return Placed(callback, "root")


def on_all(callback: Any) -> Placed:
    """Let a callback run on all ranks, such as one of Keras's that decides and writes nothing.

    Args:
        callback: any object with hooks, or a list of them.

    Example:
        >>> from distfit import callbacks
        >>> callbacks.CallbackList(callbacks.on_all([callbacks.CSVLogger("a.csv")])).places()
        'CSVLogger on all ranks'

    Ranks: local.
    """
    return Placed(callback, "all")


def on_local_root(callback: Any) -> Placed:
    """Let a callback run once on each machine, such as one that watches its memory.

    Args:
        callback: any object with hooks, or a list of them.

    Example:
        >>> from distfit import callbacks
        >>> callbacks.CallbackList(callbacks.on_local_root(callbacks.Callback())).places()
        'Callback once on each node'

    Ranks: local.
    """
    return Placed(callback, "local_root")


def placed(callback: Any) -> Placed:
    """Return a callback with where its class says that it runs: on root, if it is no callback of distfit.

    Raises:
        TypeError: for what can be no callback.
        ValueError: for another word than the three.
    """
    is_function = isinstance(callback, (FunctionType, MethodType, BuiltinFunctionType, partial))
    has_no_hooks = is_function and not any(name.startswith("on_") for name in dir(callback))
    if has_no_hooks or isinstance(callback, (type, str, bytes, Mapping, Number)):
        raise TypeError(
            "callbacks are objects with hooks, such as on_epoch_end, or lists of them; LambdaCallback makes one of"
            f" functions. Received: {callback!r}"
        )
    ranks: Ranks = callback.ranks if isinstance(callback, Callback) else "root"
    if ranks not in get_args(Ranks):
        raise ValueError(
            f"{type(callback).__name__}.ranks is one of 'all', 'root' and 'local_root'. Received: {ranks!r}"
        )
    return Placed(callback, ranks)


class PlacedCallbacks(ABC):
    """What holds callbacks, and may stand in a list of them: a `CallbackList`."""

    @property
    @abstractmethod
    def placed(self) -> list[Placed]:
        """The callbacks, with where they run."""


def flattened(callbacks: Any) -> Iterator[Placed]:
    """Yield the callbacks of nested lists, `CallbackList`s included, in order.

    What is said of a list is said of all in it: the outermost of several wrappers holds.

    Raises:
        TypeError, ValueError: as `placed`.
    """
    if callbacks is None:
        return
    if isinstance(callbacks, Placed):
        yield from (Placed(inner.callback, callbacks.ranks) for inner in flattened(callbacks.callback))
    elif isinstance(callbacks, PlacedCallbacks):
        yield from callbacks.placed
    elif isinstance(callbacks, Iterable) and not isinstance(callbacks, (str, bytes, Mapping, type)):
        for callback in callbacks:
            yield from flattened(callback)
    else:
        yield placed(callbacks)
