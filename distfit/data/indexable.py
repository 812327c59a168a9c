"""What holds rows: arrays, and what can be indexed like one."""

from collections.abc import Sized
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Indexable(Protocol):
    """Gives rows for an array of indices."""

    def __getitem__(self, rows: Any, /) -> Any: ...


@runtime_checkable
class Shaped(Protocol):
    """Tells its number of rows by its shape, where it has no `len`, as the arrays of Zarr 3 do."""

    shape: tuple[int, ...]


def holds_rows(x: Any) -> bool:
    """Say whether something has a number of rows, and can be indexed by row."""
    return isinstance(x, Indexable) and isinstance(x, (Sized, Shaped))


def row_count(x: Any) -> int:
    """Return how many rows something holds."""
    return len(x) if isinstance(x, Sized) else int(x.shape[0])
