"""Finding an object by its name, with an error that lists the names there are."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any


def lookup(identifier: Any, known: Mapping[str, Callable[..., Any]], kind: str) -> Any:
    """Return a new object of the class that a name stands for, or the object itself where it is no name.

    Args:
        identifier: a name out of `known`, or anything else, which is returned as it is; a class is called.
        known: the classes by name. Names are matched in lower case, too.
        kind: what is looked up, for the error's text: ``"optimizer"``.

    Raises:
        ValueError: for an unknown name; the text lists the known ones.
    """
    if isinstance(identifier, type):
        return identifier()
    if not isinstance(identifier, str):
        return identifier
    for name in (identifier, identifier.lower()):
        if name in known:
            return known[name]()
    near = difflib.get_close_matches(identifier.lower(), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"unknown {kind} {identifier!r}.{hint} Known are: {', '.join(sorted(known))}")
