"""Pytrees of numbers in flat buffers: what ranks send and optimizers change, and what JAX computes with, are one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import numpy as np

from distfit.engines.arena import Arena
from distfit.engines.values import Variable

_OF_PARAMETERS = ("float32", "float64")


class Leaves:
    """The leaves of a pytree, bound to a flat buffer for each dtype.

    JAX takes its arrays for what never changes. Those that `arrays` returns lie in the buffers, which an update does
    change: nothing may hold them, or what was computed from them and is not ready, from one step to the next.

    Args:
        tree: of arrays, JAX's or NumPy's.
        what: it is, in errors.
        prefix: of the buffers' names; the one of `first` has the prefix alone.
        first: the dtype whose buffer that is; None for none.

    Attributes:
        names: of the leaves, their paths in the tree: ``"dense/kernel"``.
        buffers: by name.
        version: grows whenever a user writes a leaf.
    """

    def __init__(self, tree: Any, what: str, prefix: str = "", first: str | None = None) -> None:
        paths, self._structure = jax.tree_util.tree_flatten_with_path(tree)
        self.names = ["/".join(map(_key, path)) for path, _ in paths]
        given = [_as_array(leaf, f"{what} {name}") for name, (_, leaf) in zip(self.names, paths, strict=True)]
        self._places: list[tuple[str, slice]] = [("", slice(0, 0))] * len(given)
        self._views: list[np.ndarray] = [np.empty(0)] * len(given)
        self.buffers: dict[str, np.ndarray] = {}
        self.arenas: dict[str, Arena] = {}
        self.version = 0
        dtypes = dict.fromkeys([*([first] if first else []), *(leaf.dtype.name for leaf in given)])
        for dtype in dtypes:
            numbers = [i for i, leaf in enumerate(given) if leaf.dtype.name == dtype]
            name = prefix if dtype == first else f"{prefix}{' ' if prefix else ''}of {dtype}"
            arena = self.arenas[name] = Arena([given[i].shape for i in numbers], dtype)
            self.buffers[name] = arena.buffer
            for i, view, start in zip(numbers, arena.views, arena.starts, strict=True):
                view[...] = given[i]
                self._views[i] = view
                self._places[i] = name, slice(start, start + view.size)
        self._arrays = list(map(shared, self._views))

    def arrays(self) -> list[Any]:
        """Return JAX's arrays, which lie in the buffers where the device can see them, and are copies elsewhere."""
        return [
            view if array is None else array for view, array in zip(self._views, self._arrays, strict=True)
        ]

    def tree(self, leaves: Iterable[Any] | None = None) -> Any:
        """Return leaves, or else copies of those in the buffers, in the tree's structure."""
        taken = [view.copy() for view in self._views] if leaves is None else list(leaves)
        return jax.tree_util.tree_unflatten(self._structure, taken)

    def flatten(self, tree: Any, what: str) -> list[Any]:
        """Return the leaves of another tree of this structure.

        Raises:
            ValueError: if it is another one.
        """
        leaves: list[Any]
        leaves, structure = jax.tree_util.tree_flatten(tree)
        if structure != self._structure:
            raise ValueError(f"{what} has to have the structure {self._structure}. Received: {structure}")
        return leaves

    def write(self, leaves: Iterable[Any]) -> None:
        """Write what every rank writes alike, and what is therefore no change by the user."""
        for view, leaf in zip(self._views, leaves, strict=True):
            np.copyto(view, np.asarray(leaf), casting="same_kind")

    def write_flat(self, values: np.ndarray) -> None:
        """Write all leaves from one row of float64, as `write` does; what are integers are rounded."""
        start = 0
        for view in self._views:
            part = values[start : start + view.size].reshape(view.shape)
            view[...] = part if view.dtype.kind == "f" else np.rint(part)
            start += view.size

    def by_name(self) -> dict[str, np.ndarray]:
        """Return the leaves themselves, each as one row, by name."""
        return {name: view.reshape(-1) for name, view in zip(self.names, self._views, strict=True)}

    def variables(self, *, is_state: bool, is_trained: Callable[[str], bool]) -> list[Variable]:
        """Return the leaves as users and files see them."""
        variables = []
        for i, name in enumerate(self.names):
            value = self._views[i].view()
            value.flags.writeable = False
            buffer, place = self._places[i]
            trained = not is_state and is_trained(name)
            variables.append(
                Variable(name, value, trained, partial(self._assign, i), place, buffer, is_state)
            )
        return variables

    def _assign(self, number: int, value: Any) -> None:
        array, view = np.asarray(value), self._views[number]
        if array.shape != view.shape:
            raise ValueError(
                f"{self.names[number]} has shape {view.shape}. Received: an array of shape {array.shape}"
            )
        view[...] = array
        self.version += 1


def common_dtype(params: Any) -> str:
    """Return the dtype of all parameters.

    Raises:
        TypeError: if they are not all float32, or all float64, or JAX has no float64.
    """
    paths, _ = jax.tree_util.tree_flatten_with_path(params)
    named = [("/".join(map(_key, path)), leaf) for path, leaf in paths]
    dtypes = {_as_array(leaf, f"the parameter {name}").dtype.name: name for name, leaf in named}
    if len(dtypes) > 1 or not set(dtypes) <= set(_OF_PARAMETERS):
        found = ", ".join(f"{dtype} ({name})" for dtype, name in dtypes.items())
        raise TypeError(
            "parameters are all float32, or all float64, since their gradients are summed over the ranks as one array:"
            " what is no parameter belongs to state, or into the function. Received: " + found
        )
    dtype = next(iter(dtypes), "float32")
    if dtype == "float64" and not jax.config.jax_enable_x64:
        raise TypeError(
            'the parameters are float64, but JAX would compute in float32: call jax.config.update("jax_enable_x64",'
            " True) first, or give float32"
        )
    return dtype


def shared(view: np.ndarray) -> Any:
    """Return an array of JAX that lies in the same memory; None where there is none, as on another device."""
    if jax.default_backend() != "cpu":
        return None
    array = jax.dlpack.from_dlpack(view)
    return array if array.unsafe_buffer_pointer() == view.ctypes.data else None


def _as_array(leaf: Any, what: str) -> np.ndarray:
    if not isinstance(leaf, (np.ndarray, np.generic, jax.Array, int, float)):
        raise TypeError(
            f"{what} is a {type(leaf).__name__}, but a pytree of numbers is needed. What is none, such as a function"
            " within a module of Equinox, stays outside: equinox.partition(module, equinox.is_inexact_array)"
        )
    return np.asarray(leaf)


def _key(key: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute)).strip(".")
    return str(key)
