"""Slices of any number of parts give the whole array; what does not fit together is an error."""

import os
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers

from distfit.checkpoint import Checkpoint, DamagedCheckpoint, Slice, Store, load, write_part

ARRAYS = st.dictionaries(
    st.sampled_from(["weights/a", "weights/dense/kernel", "optimizer/m", "optimizer/a"]),
    numbers.arrays(
        st.sampled_from(["<f4", "bool"]), numbers.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=5)
    ),
    max_size=3,
)


def commit(folder: Path, parts: list[dict[str, Slice]]) -> Path:
    store = Store(folder)
    unfinished = store.begin()
    for part, arrays in enumerate(parts):
        write_part(unfinished, part, len(parts), arrays)
    return store.commit(unfinished, Checkpoint({"whole": np.ones(2)}, {}, {"epoch": 1}))


def split(arrays: dict[str, np.ndarray], cuts: list[int]) -> list[dict[str, Slice]]:
    """Cut all arrays at the same places."""
    return [
        {
            name: Slice(array.reshape(-1)[start:stop], min(start, array.size), array.shape)
            for name, array in arrays.items()
        }
        for start, stop in zip([0, *cuts], [*cuts, 25], strict=True)
    ]


@given(
    arrays=ARRAYS,
    cuts=st.lists(st.integers(0, 25), max_size=3).map(sorted),
    order=st.randoms(use_true_random=False),
)
def test_any_split_gives_the_whole(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray], cuts: list[int], order: Random
) -> None:
    parts = split(arrays, cuts)
    order.shuffle(parts)
    path = commit(tmp_path_factory.mktemp("series"), parts)
    found = load(path)
    assert found.weights["whole"].tolist() == [1, 1]
    for name, array in arrays.items():
        section, _, rest = name.partition("/")
        np.testing.assert_array_equal(getattr(found, section)[rest], array, strict=True)
    assert [name for name in os.listdir(path) if name.endswith(".sha256")] == []


def piece(
    values: list[int], offset: int, shape: tuple[int, ...] = (6,), dtype: str = "i4"
) -> dict[str, Slice]:
    return {"optimizer/m": Slice(np.array(values, dtype), offset, shape)}


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([piece([1, 2], 0), piece([4, 5, 6], 3)], "leave a gap at number 2"),
        ([piece([1, 2], 0), piece([3, 4], 2)], "leave a gap at number 4"),
        ([piece([2, 3, 4, 5, 6], 1)], "leave a gap at number 0"),
        ([piece([1, 2, 3, 4], 0), piece([4, 5, 6], 3)], "overlap at number 3"),
        ([piece([1, 2, 3, 4, 5, 6], 0), piece([1, 2, 3, 4, 5, 6], 0)], "overlap at number 0"),
        ([piece([1, 2, 3], 0), piece([4, 5, 6], 3, (3, 2))], "of different shapes or dtypes"),
        ([piece([1, 2, 3], 0), piece([4, 5, 6], 3, dtype="i8")], "of different shapes or dtypes"),
    ],
)
def test_what_does_not_fit_together_is_an_error(
    tmp_path: Path, parts: list[dict[str, Slice]], words: str
) -> None:
    path = commit(tmp_path, parts)
    with pytest.raises(DamagedCheckpoint, match=words):
        load(path)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"m": Slice(np.zeros(2), 0, (2,))}, "begins with 'weights/' or 'optimizer/'. Received: 'm'"),
        (
            {"weights/w": Slice(np.zeros((1, 2)), 0, (1, 2))},
            r"is flat and within it. Received: shape \(1, 2\) at 0",
        ),
        (
            {"weights/w": Slice(np.zeros(2), 5, (6,))},
            r"'weights/w', of 6 numbers, .* Received: shape \(2,\) at 5",
        ),
        ({"weights/w": Slice(np.zeros(2), -1, (6,))}, "at -1"),
    ],
)
def test_a_slice_that_is_none_is_an_error(tmp_path: Path, arrays: dict[str, Slice], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        write_part(tmp_path, 0, 1, arrays)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("part", "parts"), [(2, 2), (-1, 2), (0, 0)])
def test_a_part_that_there_is_not_is_an_error(tmp_path: Path, part: int, parts: int) -> None:
    with pytest.raises(ValueError, match=f"below their number {parts}. Received: {part}"):
        write_part(tmp_path, part, parts, {})


def test_a_checkpoint_of_which_a_part_is_missing_is_not_committed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.begin()
    for part in (0, 2):
        write_part(folder, part, 4, {})
    with pytest.raises(ValueError, match="of 4 parts some are missing: 1, 3"):
        store.commit(folder, Checkpoint())
    assert os.listdir(tmp_path) == []


def test_parts_of_two_sets_are_not_committed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.begin()
    write_part(folder, 0, 1, {})
    write_part(folder, 1, 2, {})
    with pytest.raises(ValueError, match="the parts are of different sets: part-00000-of-00001"):
        store.commit(folder, Checkpoint())
