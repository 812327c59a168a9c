"""Tuples, lists and dicts of arrays, as models with several inputs take them."""

from collections.abc import Callable
from typing import Any


def map_leaves(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Apply `function` to each leaf, keeping the tuples, lists and dicts around it.

    Args:
        function: gets a leaf of `tree` and the leaves of `others` at the same place.
        tree: a leaf, or tuples, lists and dicts of them. None is a leaf that stays None.
        others: trees of the same form.
    """
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {k: map_leaves(function, v, *(o[k] for o in others)) for k, v in tree.items()}
    if isinstance(tree, (tuple, list)):
        mapped = [map_leaves(function, *items) for items in zip(tree, *others, strict=True)]
        return tuple(mapped) if isinstance(tree, tuple) else mapped
    return function(tree, *others)


def map_paths(function: Callable[[str, Any], Any], tree: Any, prefix: str = "") -> Any:
    """Apply `function` to each leaf and its path, such as ``"[0]['left']"``; see `map_leaves`."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {k: map_paths(function, v, f"{prefix}[{k!r}]") for k, v in tree.items()}
    if isinstance(tree, (tuple, list)):
        mapped = [map_paths(function, v, f"{prefix}[{i}]") for i, v in enumerate(tree)]
        return tuple(mapped) if isinstance(tree, tuple) else mapped
    return function(prefix, tree)


def leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return the leaves with their paths, such as ``("[0]", array)`` or ``("['left']", array)``."""
    if tree is None:
        return []
    if isinstance(tree, dict):
        return [leaf for k, v in tree.items() for leaf in leaves(v, f"{prefix}[{k!r}]")]
    if isinstance(tree, (tuple, list)):
        return [leaf for i, v in enumerate(tree) for leaf in leaves(v, f"{prefix}[{i}]")]
    return [(prefix, tree)]
