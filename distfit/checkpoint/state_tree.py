"""The state of a training as JSON and arrays, and back.

JSON knows neither NaN nor tuples nor arrays. A dict with one of the names below stands for what it lacks; a dict of the
user's whose keys could be taken for one is wrapped, so that any state comes back as it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import numpy as np

from distfit.checkpoint.safetensors_file import NAMES

_ARRAY, _SCALAR, _FLOAT, _COMPLEX = "__array__", "__scalar__", "__float__", "__complex__"
_TUPLE, _DICT = "__tuple__", "__dict__"
_RESERVED = "__"  # keys that begin so are wrapped: a later format may have other placeholders


def encode(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return a state as what JSON can hold, and the arrays in it.

    Args:
        state: of numbers, text, None, booleans, lists, tuples, dicts with text as keys, NumPy arrays and scalars.

    Returns:
        A tree for JSON, in which arrays have placeholders, and the arrays by their place in it: ``"callbacks/0/best"``.

    Raises:
        TypeError: for anything else, naming its place.

    Ranks: local.

    Example:
        >>> import numpy as np
        >>> from distfit.checkpoint.state_tree import decode, encode
        >>> tree, arrays = encode({"best": np.zeros(2), "wait": (0, float("inf"))})
        >>> tree
        {'best': {'__array__': 'best'}, 'wait': {'__tuple__': [0, {'__float__': 'inf'}]}}
        >>> decode(tree, arrays)["wait"]
        (0, inf)
    """
    arrays: dict[str, np.ndarray] = {}
    return _encode_dict(state, (), arrays), arrays


def decode(tree: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None) -> dict[str, Any]:
    """Return the state that `encode` was given.

    Args:
        tree: what JSON held.
        arrays: by their place; None for a state in which None stands for each of them.

    Raises:
        KeyError: for an array that is missing.
        ValueError: for a placeholder that is none of this format.

    Ranks: local.
    """
    state: dict[str, Any] = _decode(tree, arrays)
    return state


def _encode(value: Any, place: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        return _encode_array(value, place, arrays)
    if isinstance(value, np.generic):  # before numbers and text: np.float64 is a float, np.str_ is text
        return _encode_scalar(value, place)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_FLOAT: repr(float(value))}
    if isinstance(value, complex):
        return {_COMPLEX: [_encode(part, place, arrays) for part in (value.real, value.imag)]}
    if isinstance(value, (list, tuple)):
        items = [_encode(item, (*place, str(index)), arrays) for index, item in enumerate(value)]
        return items if isinstance(value, list) else {_TUPLE: items}
    if isinstance(value, Mapping):
        return _encode_dict(value, place, arrays)
    raise TypeError(
        "a checkpoint's state holds numbers, text, None, booleans, lists, tuples, dicts, NumPy arrays and scalars."
        f" Received: {type(value).__name__} at {_named(place)}. Give its parts, or its text"
    )


def _encode_dict(
    value: Mapping[str, Any], place: tuple[str, ...], arrays: dict[str, np.ndarray]
) -> dict[str, Any]:
    for key in value:
        if not isinstance(key, str):
            raise TypeError(
                f"the keys of a checkpoint's state are text. Received: {key!r} in {_named(place)}."
                " Give pairs in a list, or the keys' text"
            )
    encoded = {str(key): _encode(item, (*place, key), arrays) for key, item in value.items()}
    return {_DICT: encoded} if any(key.startswith(_RESERVED) for key in encoded) else encoded


def _encode_array(array: np.ndarray, place: tuple[str, ...], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    name = _named(place)
    if array.dtype.name in NAMES:
        arrays[name] = array
        return {_ARRAY: name}
    if not _has_bytes(array.dtype):
        raise TypeError(
            f"an array in a checkpoint's state holds numbers, text or dates. Received: dtype {array.dtype} at {name}"
        )
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    arrays[name] = np.frombuffer(little.tobytes(), np.uint8)
    return {_ARRAY: name, "dtype": little.dtype.str, "shape": list(array.shape)}


def _encode_scalar(scalar: np.generic, place: tuple[str, ...]) -> dict[str, Any]:
    dtype = scalar.dtype.newbyteorder("<")
    if dtype.kind in "Mm":
        value = int(scalar.astype(np.int64))
    elif dtype.name in NAMES or (dtype.kind != "S" and _has_bytes(dtype)):
        value = scalar.item()
    else:
        raise TypeError(
            f"a scalar of dtype {dtype} at {_named(place)} has no form in JSON. Give a Python number"
        )
    return {_SCALAR: dtype.str, "value": _encode(value, place, {})}


def _named(place: tuple[str, ...]) -> str:
    """Return a place as text, which no other place has, and which is no name that safetensors keeps for itself."""
    text = "/".join(quote(key, safe="", errors="surrogatepass") for key in place)
    return text.replace("_", "%5F", 1) if text.startswith(_RESERVED) else text


def _decode(tree: Any, arrays: Mapping[str, np.ndarray] | None) -> Any:
    if isinstance(tree, list):
        return [_decode(item, arrays) for item in tree]
    if not isinstance(tree, Mapping):
        return tree
    placeholder = next((key for key in tree if key.startswith(_RESERVED)), None)
    match placeholder:
        case None:
            return {key: _decode(item, arrays) for key, item in tree.items()}
        case "__dict__":
            return {key: _decode(item, arrays) for key, item in tree[_DICT].items()}
        case "__tuple__":
            return tuple(_decode(item, arrays) for item in tree[_TUPLE])
        case "__float__":
            return float(tree[_FLOAT])
        case "__complex__":
            return complex(*(_decode(part, arrays) for part in tree[_COMPLEX]))
        case "__scalar__":
            return _decode_scalar(np.dtype(tree[_SCALAR]), _decode(tree["value"], arrays))
        case "__array__":
            if arrays is None:
                return None
            array = arrays[tree[_ARRAY]]
            return _from_bytes(array, np.dtype(tree["dtype"]), tree["shape"]) if "dtype" in tree else array
        case _:
            raise ValueError(f"{placeholder!r} is no placeholder of this format")


def _has_bytes(dtype: np.dtype[Any]) -> bool:
    """Say whether arrays of a dtype that safetensors lacks are written as bytes, which mean the same on any machine."""
    return dtype.kind in "USMm" or dtype.name in ("complex64", "complex128")


def _from_bytes(array: np.ndarray, dtype: np.dtype[Any], shape: list[int]) -> np.ndarray:
    if not _has_bytes(dtype):
        raise ValueError(f"an array of dtype {dtype} is not written as bytes")
    return array.view(dtype).reshape(shape)


def _decode_scalar(dtype: np.dtype[Any], value: Any) -> np.generic:
    scalar: np.generic = np.int64(value).view(dtype) if dtype.kind in "Mm" else dtype.type(value)
    return scalar
