"""Arrays in safetensors' layout, written and read in one pass with their digest.

The library's own writer takes a path, not a file: what it wrote would have to be read again for its digest. The layout
is simple, and any safetensors library reads what is written here: eight bytes with the length of a header, the header
in JSON, and the arrays' bytes one after the other, little-endian and in C order. See
https://github.com/huggingface/safetensors, "Format".
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from distfit.checkpoint.damage import DamagedCheckpoint
from distfit.checkpoint.digest_file import DigestFile

NAMES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32", "int32": "I32",
    "uint64": "U64", "int64": "I64", "float16": "F16", "float32": "F32", "float64": "F64",
}  # fmt: skip
"""Safetensors' names of the dtypes, by NumPy's."""

_DTYPES = {name: dtype for dtype, name in NAMES.items()}
_METADATA = "__metadata__"
_ALIGNMENT = 8


def write_safetensors(
    file: DigestFile, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named arrays, and text.

    Args:
        file: that nothing was written to yet. It is not finished here.
        arrays: by name; of any shape. What is not contiguous, or big-endian, is written as the same numbers.
        metadata: text by name.

    Raises:
        TypeError: for a dtype that safetensors does not know, naming the array.
        ValueError: for a name that safetensors keeps for itself.
        OSError: if the file cannot be written.

    Ranks: local; any thread.
    """
    header: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    if _METADATA in arrays:
        raise ValueError(f"an array's name is not {_METADATA!r}, which safetensors keeps for its metadata")
    header.update({name: {"dtype": _dtype_name(name, array)} for name, array in arrays.items()})
    start = 0
    # Wide items first, so that each array is aligned in the file, as in those that the library writes.
    order = sorted(arrays, key=lambda name: -arrays[name].dtype.itemsize)
    for name in order:
        stop = start + arrays[name].nbytes
        header[name] |= {"shape": list(arrays[name].shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in order:
        file.write(_as_bytes(arrays[name]).data)


def parse_safetensors(content: np.ndarray, where: object) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays and the metadata that a file's bytes hold.

    Args:
        content: the bytes, uint8 of shape ``(n,)``. The arrays are views of it.
        where: the file, for an error.

    Raises:
        DamagedCheckpoint: if the bytes are none of a safetensors file.

    Ranks: local.
    """
    try:
        length = int.from_bytes(content[:8].tobytes(), "little")
        header = json.loads(content[8 : 8 + length].tobytes().decode())
        metadata = header.pop(_METADATA, {})
        data = content[8 + length :]
        return {name: _array(data, name, **entry) for name, entry in header.items()}, metadata
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCheckpoint(f"{where} is no safetensors file: {error}") from error


def _dtype_name(name: str, array: np.ndarray) -> str:
    if array.dtype.name not in NAMES:
        raise TypeError(
            f"an array's dtype is one of {', '.join(NAMES)}. Received: {array.dtype} for {name!r}"
        )
    return NAMES[array.dtype.name]


def _as_bytes(array: np.ndarray) -> np.ndarray:
    """Return an array's bytes, uint8 of shape ``(n,)``: a view wherever it can be one."""
    if array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and sys.byteorder == "big"):
        array = array.astype(array.dtype.newbyteorder("<"))
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _array(data: np.ndarray, name: str, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    start, stop = data_offsets
    if not 0 <= start <= stop <= len(data):
        raise ValueError(f"{name!r} lies beyond its end")
    kind = np.dtype(_DTYPES[dtype]).newbyteorder("<")
    array: np.ndarray = data[start:stop].view(kind).reshape(shape)
    return array
