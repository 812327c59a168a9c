"""Any state comes back as it was, through strict JSON."""

import enum
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers

from distfit.checkpoint.state_tree import decode, encode

PLACEHOLDERS = [
    "__array__",
    "__float__",
    "__dict__",
    "__tuple__",
    "__scalar__",
    "__complex__",
    "__metadata__",
    "__",
]

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=6)  # half a surrogate pair, too
KEYS = ANY_TEXT | st.sampled_from([*PLACEHOLDERS, "", ".", "..", "a/b", "%", "%2F", "0", "é", "層"])
DTYPES = st.one_of(
    numbers.boolean_dtypes(),
    numbers.integer_dtypes(endianness="<"),
    numbers.unsigned_integer_dtypes(endianness="<"),
    numbers.floating_dtypes(endianness="<", sizes=(16, 32, 64)),
    numbers.complex_number_dtypes(endianness="<", sizes=(64, 128)),
    numbers.datetime64_dtypes(endianness="<"),
    numbers.timedelta64_dtypes(endianness="<"),
    numbers.unicode_string_dtypes(endianness="<", max_len=4),
)
ARRAYS = numbers.arrays(
    DTYPES | numbers.byte_string_dtypes(max_len=4),
    numbers.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
SCALARS = DTYPES.flatmap(lambda dtype: numbers.from_dtype(dtype))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | ANY_TEXT
    | ARRAYS
    | SCALARS
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=8,
)
STATES = st.dictionaries(KEYS, VALUES, max_size=4)


def through_json(state: dict[str, Any]) -> Any:
    tree, arrays = encode(state)
    return decode(json.loads(json.dumps(tree, allow_nan=False)), arrays)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, of the same types, and NaN where the other is."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, np.generic):
        return one.dtype == other.dtype and repr(one) == repr(other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)  # which is exact for a float, and tells -0.0 from 0.0


@given(state=STATES)
@example(state={"": np.zeros(1), ".": np.ones(1), "__metadata__": np.full(1, 2.0)})
@example(state={"a/b": np.zeros(1), "a": {"b": np.ones(1)}, "a%2Fb": np.full(1, 2.0)})
@example(state={"__dict__": {"__dict__": {}}, "__array__": "no array"})
@example(state={"nested": ({"__float__": float("nan")}, [-0.0, float("-inf")], np.float16("nan"))})
def test_any_state_comes_back(state: dict[str, Any]) -> None:
    assert same(through_json(state), state)


@given(value=st.floats(allow_nan=False))
def test_floats_are_exact(value: float) -> None:
    assert through_json({"lr": value})["lr"].hex() == value.hex()


def test_the_form_that_others_read() -> None:
    state = {
        "best": np.zeros(2), "wait": (1, [2]), "lr": float("inf"), "loss": np.float32(0.5), "z": 1j,
        "name": np.array(["ab"]), "odd": {"__array__": 1},
    }  # fmt: skip
    tree, arrays = encode({"callbacks": [state]})
    assert tree["callbacks"][0] == {
        "best": {"__array__": "callbacks/0/best"},
        "wait": {"__tuple__": [1, [2]]},
        "lr": {"__float__": "inf"},
        "loss": {"__scalar__": "<f4", "value": 0.5},
        "z": {"__complex__": [0.0, 1.0]},
        "name": {"__array__": "callbacks/0/name", "dtype": "<U2", "shape": [1]},
        "odd": {"__dict__": {"__array__": 1}},
    }
    assert arrays["callbacks/0/name"].tobytes() == "ab".encode("utf-32-le")


def test_what_is_not_native_or_contiguous_has_the_same_numbers() -> None:
    for array in (np.arange(3, dtype=">i4"), np.array([1j, 2], ">c8"), np.array(["x", "yz"] * 2)[::2]):
        np.testing.assert_array_equal(through_json({"a": array})["a"], array)


def test_subclasses_come_back_as_what_they_are_made_of() -> None:
    class Level(enum.IntEnum):
        HIGH = 3

    assert same(through_json({"level": Level.HIGH}), {"level": 3})


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            {"callbacks": [{"model": object()}]},
            "Received: object at callbacks/0/model. Give its parts, or its text",
        ),
        ({"seen": {1, 2}}, "Received: set at seen"),
        ({"raw": b"x"}, "Received: bytes at raw"),
        ({"epochs": {3: "x"}}, "the keys of a checkpoint's state are text. Received: 3 in epochs"),
        ({"a": np.array([object()])}, "Received: dtype object at a"),
        ({"a": np.zeros(1, [("x", int)])}, r"Received: dtype \[\('x', '<i8'\)\] at a"),
        ({"a": np.bytes_(b"x")}, "at a has no form in JSON"),
        ({"a": np.longdouble(1)}, "at a has no form in JSON"),
        ({"a": np.clongdouble(1)}, "at a has no form in JSON"),
        ({"a": np.zeros(1, np.longdouble)}, "Received: dtype float128 at a"),
        ({"a": np.zeros(1, np.clongdouble)}, "Received: dtype complex256 at a"),
    ],
)
def test_what_has_no_form_is_named_with_its_place(state: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        encode(state)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"a": {"__later__": 1}}, "'__later__' is no placeholder of this format"),
        ({"a": {"__array__": "a", "dtype": "O", "shape": [1]}}, "dtype object is not written as bytes"),
    ],
)
def test_a_tree_of_somebody_else_is_an_error(tree: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode(tree, {"a": np.zeros(8, np.uint8)})


def test_without_arrays_there_is_none_in_their_place() -> None:
    tree, _ = encode({"best": np.zeros(3), "epoch": 2})
    assert decode(tree, None) == {"best": None, "epoch": 2}
