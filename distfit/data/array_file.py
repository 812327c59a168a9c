"""A tree of arrays in one file, to be memory-mapped: a JSON header, and the numbers behind it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from mmap import mmap
from typing import IO, Any

import numpy as np

from distfit.utils.nested import leaves

_MAGIC = b"distfit\0"
_LENGTH = struct.Struct("<Q")
_ALIGNMENT = 64


def write_arrays(file: IO[bytes], key: str, tree: Any) -> None:
    """Write arrays.

    Args:
        file: open for writing, at its start.
        key: by which `read_arrays` knows them.
        tree: an array, or tuples, lists and dicts of them; dicts with text as keys.

    Raises:
        TypeError: for what is no array of numbers, truth values or text.
        OSError: if there is no space.
    """
    arrays = [_checked(path, leaf) for path, leaf in leaves(tree)]
    described = [(array.dtype.str, array.shape) for array in arrays]
    header = json.dumps({"key": key, "tree": _numbered(tree, iter(range(len(arrays)))), "arrays": described})
    file.write(_MAGIC + _LENGTH.pack(len(header)) + header.encode("ascii"))
    for array in arrays:
        file.write(bytes(-file.tell() % _ALIGNMENT))
        if array.size:
            file.write(array.reshape(-1).view(np.uint8).data)
    file.write(b"\n")  # so that an empty last array lies within the file, too


def read_arrays(mapped: mmap, key: str) -> Any:
    """Return the tree in a file that is mapped, as views of it, or None where it holds something else.

    Args:
        mapped: the file.
        key: what `write_arrays` was given.
    """
    start = len(_MAGIC) + _LENGTH.size
    if mapped[: len(_MAGIC)] != _MAGIC:
        return None
    end = start + _LENGTH.unpack(mapped[len(_MAGIC) : start])[0]
    header = json.loads(mapped[start:end])
    if header["key"] != key:
        return None
    arrays = []
    for dtype, shape in header["arrays"]:
        end += -end % _ALIGNMENT
        arrays.append(np.ndarray(shape, np.dtype(dtype), mapped, end))
        end += arrays[-1].nbytes
    return _filled(header["tree"], arrays)


def _checked(path: str, leaf: Any) -> np.ndarray:
    array: np.ndarray = np.ascontiguousarray(leaf).reshape(
        np.shape(leaf)
    )  # the first makes a row of a single number
    if array.dtype.kind in "OV":
        raise TypeError(
            f"arrays of numbers can be shared, and none of Python objects or of records. Received: {array.dtype}"
            f" in load(){path}"
        )
    return array


def _numbered(tree: Any, numbers: Iterator[int]) -> Any:
    """Return a tree as JSON has it, with the arrays' numbers in their places."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {"dict": {key: _numbered(item, numbers) for key, item in tree.items()}}
    if isinstance(tree, (tuple, list)):
        kind = "tuple" if isinstance(tree, tuple) else "list"
        return {kind: [_numbered(item, numbers) for item in tree]}
    return next(numbers)


def _filled(tree: Any, arrays: list[np.ndarray]) -> Any:
    """Return the tree of which `_numbered` made this."""
    if not isinstance(tree, dict):
        return None if tree is None else arrays[tree]
    ((kind, items),) = tree.items()
    if kind == "dict":
        return {key: _filled(item, arrays) for key, item in items.items()}
    filled = [_filled(item, arrays) for item in items]
    return tuple(filled) if kind == "tuple" else filled
