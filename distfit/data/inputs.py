"""From what a user gives to `fit` to rows or a stream of batches, with every check that needs no other rank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from distfit.data.indexable import holds_rows, row_count
from distfit.data.local_part import LocalPart
from distfit.data.samples import samples_of
from distfit.data.source import Source, unmapped
from distfit.utils.nested import leaves, map_leaves


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a user gave: rows that can be indexed, or a stream of batches.

    Attributes:
        source: the rows, or None for a stream.
        stream: the iterable, or None for rows.
        local: True for `LocalPart`: each rank has its own.
        class_weight: weights of a stream's loss by class number, or None; a source has its own.
        batch_size: rows of a global batch, where the data say so themselves; else None.
        shuffle: the same of whether each epoch of `fit` has an order of its own.
    """

    source: Source | None
    stream: Iterable[Any] | None
    local: bool
    class_weight: dict[int, float] | None = None
    batch_size: int | None = None
    shuffle: bool | None = None


def read_inputs(
    x: Any, y: Any = None, sample_weight: Any = None, class_weight: dict[int, float] | None = None
) -> Inputs:
    """Check the arguments x, y and sample_weight of `fit`, `evaluate` or `predict`.

    Args:
        x: an array-like, a tuple, list or dict of them, another library's data set, or an iterable of batches; perhaps
            in a `LocalPart`.
        y: targets, where x is no iterable of ``(x, y)``.
        sample_weight: a weight for each row, or None.
        class_weight: weights by class number, or None.

    Raises:
        ValueError: for no data, or unequal numbers of rows.
        TypeError: for object arrays, for what is neither array nor iterable, and for class weights that are no dict.

    Ranks: local.
    """
    if class_weight is not None and not isinstance(class_weight, Mapping):
        raise TypeError(
            "class_weight is a dict of weights by class number, such as {0: 1.0, 1: 2.5}. Received:"
            f" {class_weight!r}"
        )
    given = [part for part in (x, y, sample_weight) if part is not None]
    local = [isinstance(part, LocalPart) for part in given]
    if any(local) and not all(local):
        raise ValueError("either all of x, y and sample_weight are in a LocalPart, or none of them")
    x, y, sample_weight = (
        part.data if isinstance(part, LocalPart) else part for part in (x, y, sample_weight)
    )
    if x is None:
        raise ValueError("no data: x is None")
    samples = samples_of(x)
    if samples is not None or _is_stream(x):
        if y is not None or sample_weight is not None:
            raise ValueError(
                "a data set or an iterable yields its targets and weights itself, as (x, y[, sample_weight]): y has"
                " to be None"
            )
        if samples is None:
            return Inputs(None, x, any(local), class_weight)
        source = Source(samples.data, 0, _common_length(samples.data), class_weight)
        return Inputs(source, None, any(local), None, samples.batch_size, samples.shuffle)
    if sample_weight is not None and y is None:
        raise ValueError("sample_weight weighs the loss of rows, which need targets: y is None")
    parts = (x,) if y is None else (x, y) if sample_weight is None else (x, y, sample_weight)
    arrays = tuple(_as_arrays(part) for part in parts)
    return Inputs(Source(arrays, 0, _common_length(arrays), class_weight), None, any(local))


def _is_stream(x: Any) -> bool:
    return isinstance(x, Iterable) and not holds_rows(x)


def _as_arrays(tree: Any) -> Any:
    """Turn lists of numbers, and data frames, into arrays; leave everything that can be indexed by row as it is."""
    if isinstance(tree, (list, tuple)) and _is_number(tree):
        tree = np.asarray(tree)
    return map_leaves(_as_array, tree)


def _is_number(item: Any) -> bool:
    """Say whether something is a number, or nested lists that begin with one."""
    if isinstance(item, (list, tuple)):
        return len(item) > 0 and _is_number(item[0])
    return isinstance(item, (int, float, np.number, np.bool_))


def _as_array(leaf: Any) -> Any:
    if type(leaf).__module__.startswith("pandas."):
        leaf = np.asarray(leaf)  # its [i] means a column
    base = unmapped(leaf)
    if not holds_rows(base):
        raise TypeError(
            "data are arrays, array-likes with len() or a shape and [rows], tuples or dicts of them, or an iterable of"
            f" batches. Received: {type(base).__name__}"
        )
    if isinstance(base, np.ndarray) and base.dtype == object:
        raise TypeError(
            "an array of Python objects has no rows of one shape and type. Give an array of numbers:"
            f" np.stack(rows), say. Received: an object array of shape {base.shape}"
        )
    return leaf


def _common_length(arrays: tuple[Any, ...]) -> int:
    names = dict(zip(("x", "y", "sample_weight"), arrays, strict=False))
    lengths = {path: row_count(leaf) for path, leaf in leaves(names)}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(
            f"{path[2:].replace(chr(39) + ']', '', 1)}: {rows} rows" for path, rows in lengths.items()
        )
        raise ValueError(f"x, y and sample_weight need equal numbers of rows. Received: {listed}")
    return next(iter(lengths.values()))


def split_validation(
    inputs: Inputs, fraction: float, lengths: Sequence[int], rank: int
) -> tuple[Inputs, Inputs]:
    """Split off the last rows of the data set for validation, before any shuffling.

    Args:
        inputs: rows.
        fraction: of the rows, in (0, 1).
        lengths: how many rows each rank holds.
        rank: this one. Of local parts, those of the last ranks are split off, as if all lay one behind the other.

    Raises:
        ValueError: for a stream, a fraction outside (0, 1), or one that leaves a part empty.
    """
    if inputs.source is None:
        raise ValueError(
            "validation_split needs data that can be indexed. Give validation_data beside an iterable"
        )
    if not 0 < fraction < 1:
        raise ValueError(f"validation_split lies between 0 and 1. Received: {fraction}")
    rows = len(inputs.source)
    total, offset = (sum(lengths), sum(lengths[:rank])) if inputs.local else (rows, 0)
    split = int(np.floor(total * (1.0 - fraction)))
    if split in (0, total):
        raise ValueError(
            f"validation_split={fraction} of {total} rows leaves nothing to train on, or to validate with"
        )
    own_split = min(max(split - offset, 0), rows)
    # As in Keras, class weights are for training: validation counts each row once.
    held_out = replace(inputs.source.window(own_split, rows), class_weight=None)
    return replace(inputs, source=inputs.source.window(0, own_split)), Inputs(
        held_out, None, inputs.local, batch_size=inputs.batch_size
    )
