"""Where rows come from: arrays and what can be indexed like one, of which a rank reads only its rows."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from distfit import config
from distfit.data.mapping import Mapped, RowContext
from distfit.data.taking import is_known, take
from distfit.random import RowGenerator, stream_of
from distfit.utils.nested import leaves, map_leaves, map_paths

_NAMES = ("x", "y", "sample_weight")


@dataclass(frozen=True, slots=True)
class Source:
    """Inputs, targets and sample weights by row: trees of array-likes with equal lengths.

    Attributes:
        data: ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)``.
        start: the first row that belongs to this source.
        stop: one past the last.
        class_weight: weights by class number, or None.
    """

    data: tuple[Any, ...]
    start: int
    stop: int
    class_weight: dict[int, float] | None = None

    def __len__(self) -> int:
        return self.stop - self.start

    def window(self, start: int, stop: int) -> Source:
        """Return the rows `start` to `stop` of this source."""
        return Source(self.data, self.start + start, self.start + stop, self.class_weight)

    def row_shapes(self) -> list[tuple[int, ...]]:
        """Return the shape of one row of each input."""
        first = np.arange(self.start, min(self.start + 1, self.stop))
        return [
            tuple(leaf.shape[1:]) if isinstance(leaf, np.ndarray) else take(unmapped(leaf), first).shape[1:]
            for _, leaf in leaves(self.data[0])
        ]

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Read rows as they are stored.

        Args:
            indices: ascending, int64.

        Returns:
            The rows of each array, by its path in `data`.

        Raises:
            IndexError: and whatever else a user's own source raises.

        Ranks: local. In any thread, where `is_read_in_any_thread`.
        """
        places = indices + self.start
        return {path: take(unmapped(leaf), places) for path, leaf in leaves(self.data)}

    def finish(
        self, stored: dict[str, np.ndarray], *, seed: int, step: int, first_row: int, training: bool
    ) -> tuple[Any, ...]:
        """Pass rows through the functions of `data.map`, and weigh them.

        Args:
            stored: what `read` returned; at least one row.
            seed: of the random numbers of `data.map`.
            step: the global batch's number, for the same.
            first_row: the place of the first row within the global batch, for the same.
            training: whether augmentations are on.

        Raises:
            Exception: whatever a user's function raises.

        Ranks: local; in the thread that trains, as all code of a user's.
        """

        def finished(path: str, leaf: Any, rows: np.ndarray) -> Any:
            if not isinstance(leaf, Mapped):
                return rows
            generator = RowGenerator(seed, stream_of(f"map {path}"), step, first_row, len(rows))
            return leaf.function(finished(f"{path}.", leaf.source, rows), RowContext(training, generator))

        batch: tuple[Any, ...] = map_paths(lambda path, leaf: finished(path, leaf, stored[path]), self.data)
        return batch if self.class_weight is None else weigh_classes(batch, self.class_weight)

    @property
    def is_read_in_any_thread(self) -> bool:
        """Whether reading calls no code of a user's, who may not expect another thread."""
        return all(is_known(unmapped(leaf)) for _, leaf in leaves(self.data))

    def no_rows(self) -> tuple[Any, ...]:
        """Return what a rank without rows has: arrays of no rows, without a look at the user's own sources."""

        def none_of(leaf: Any) -> np.ndarray:
            base = unmapped(leaf)
            return base[:0] if isinstance(base, np.ndarray) else np.empty(0, config.floatx())

        nothing: tuple[Any, ...] = map_leaves(none_of, self.data)
        return nothing

    def describe(self, *, sample: bool) -> dict[str, str]:
        """Return a line for each array, by which ranks compare what they hold.

        Args:
            sample: whether a few rows' contents are compared, too; not where each rank has rows of its own.
        """
        few = (
            np.unique(np.linspace(self.start, self.stop - 1, 8).astype(np.int64))
            if len(self)
            else np.arange(0)
        )
        described = {}
        for path, leaf in leaves(dict(zip(_NAMES, self.data, strict=False))):
            rows = take(unmapped(leaf), few)
            name = re.sub(r"^\['(\w+)'\]", r"\1", path)
            described[name] = f"rows of shape {rows.shape[1:]} and type {rows.dtype}"
            if sample:
                digest = zlib.crc32(np.ascontiguousarray(rows).tobytes())
                described[name] += f", {len(self)} of them with sampled contents {digest:08x}"
        return described


def unmapped(leaf: Any) -> Any:
    """Return what stands behind `data.map`."""
    return unmapped(leaf.source) if isinstance(leaf, Mapped) else leaf


def weigh_classes(batch: tuple[Any, ...], class_weight: dict[int, float]) -> tuple[Any, ...]:
    """Multiply each row's weight by that of its class.

    Args:
        batch: ``(x, y)`` or ``(x, y, sample_weight)``; y holds class numbers, ``(rows,)`` or ``(rows, 1)``, or
            one-hot rows.
        class_weight: weights by class number; 1 where none is given.
    """
    x, y, weight = (*batch, None)[:3]
    labels = np.argmax(y, axis=-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(-1)
    weights = np.array([class_weight.get(int(label), 1.0) for label in labels], config.floatx())
    return x, y, weights if weight is None else weights * weight
