"""From what a user gives to rows: forms of data, and the errors that need no other rank."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from distfit import data
from distfit.data import Batch, LocalPart, Source, read_inputs, split_validation, unpack
from distfit.data.source import weigh_classes
from distfit.data.taking import take

X = np.arange(30.0).reshape(10, 3)
Y = np.arange(10)


def source_of(*args: Any, **options: Any) -> Source:
    source = read_inputs(*args, **options).source
    assert source is not None
    return source


def rows(source: Source, indices: Any) -> tuple[Any, ...]:
    return source.finish(
        source.read(np.asarray(indices, np.int64)), seed=0, step=0, first_row=0, training=True
    )


class Own:
    """A user's own sequence, which has a length and rows and nothing else."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, indices: Any) -> Any:
        return X[indices].tolist()


def as_memmap(folder: Path) -> Any:
    array = np.memmap(folder / "x.bin", X.dtype, "w+", shape=X.shape)
    array[...] = X
    return array


def as_hdf5(folder: Path) -> Any:
    file = h5py.File(folder / "x.h5", "w")
    return file.create_dataset("x", data=X)


def as_zarr(folder: Path) -> Any:
    array = zarr.create_array(folder / "x.zarr", shape=X.shape, chunks=(4, 3), dtype=X.dtype)
    array[...] = X
    return array


KINDS = {
    "ndarray": lambda _: X,
    "memmap": as_memmap,
    "hdf5": as_hdf5,
    "zarr": as_zarr,
    "own": lambda _: Own(),
    "list": lambda _: list(X),
    "mapped": lambda _: data.map(X - 1.0, lambda taken, _: taken + 1.0),
}


@pytest.mark.parametrize("kind", ["ndarray", "memmap", "hdf5", "zarr", "own"])
@pytest.mark.parametrize("indices", [[0], [9], [2, 3, 4], [0, 4, 9], list(range(10))])
def test_rows_are_taken_by_an_array_of_indices(kind: str, indices: list[int], tmp_path: Path) -> None:
    taken = take(KINDS[kind](tmp_path), np.array(indices, np.int64))
    assert type(taken) is np.ndarray
    np.testing.assert_array_equal(taken, X[indices])


def test_consecutive_rows_of_an_array_are_no_copy() -> None:
    assert np.shares_memory(take(X, np.arange(3, 7)), X)


@pytest.mark.parametrize("kind", ["ndarray", "memmap", "hdf5", "zarr", "own", "mapped"])
def test_every_kind_of_data_gives_the_same_rows(kind: str, tmp_path: Path) -> None:
    source = source_of(KINDS[kind](tmp_path), Y)
    assert len(source) == 10
    assert source.row_shapes() == [(3,)]
    x, y = rows(source, [1, 5, 8])
    np.testing.assert_array_equal(x, X[[1, 5, 8]])
    np.testing.assert_array_equal(y, [1, 5, 8])


def test_lists_of_numbers_are_arrays() -> None:
    x, y = rows(source_of([1.0, 2.0, 3.0], [0, 1, 0]), [0, 2])
    assert (x.tolist(), y.tolist()) == ([1.0, 3.0], [0, 0])


@pytest.mark.parametrize(
    "form",
    [lambda a, b: [a, b], lambda a, b: (a, b), lambda a, b: {"a": a, "b": b}],
    ids=["list", "tuple", "dict"],
)
def test_several_inputs_keep_their_form(form: Any) -> None:
    source = source_of(form(X, X[:, :1]), form(Y, Y))
    assert source.row_shapes() == [(3,), (1,)]
    x, y = rows(source, [2, 9])
    expected = form(X[[2, 9]], X[[2, 9], :1])
    assert type(x) is type(expected)
    for key in expected if isinstance(expected, dict) else (0, 1):
        np.testing.assert_array_equal(x[key], expected[key])
    assert type(y) is type(expected)


@pytest.mark.parametrize(
    ("args", "kind", "text"),
    [
        ((None,), ValueError, "x is None"),
        ((X, Y[:9]), ValueError, "x: 10 rows, y: 9 rows"),
        ((X, Y, np.ones(3)), ValueError, "sample_weight: 3 rows"),
        (({"a": X, "b": X[:4]}, Y), ValueError, r"x\['a'\]: 10 rows, x\['b'\]: 4 rows"),
        ((X.astype(object), Y), TypeError, r"Received: an object array of shape \(10, 3\)"),
        ((5, Y), TypeError, "Received: int"),
        ((LocalPart(X), Y), ValueError, "either all of x, y and sample_weight are in a LocalPart"),
        ((X, None, np.ones(10)), ValueError, "y is None"),
        ((iter([X]), Y), ValueError, "an iterable yields its targets"),
    ],
)
def test_what_cannot_be_right(args: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        read_inputs(*args)


def test_local_parts_and_streams_are_known() -> None:
    assert read_inputs(LocalPart(X), LocalPart(Y)).local
    stream = read_inputs(LocalPart(iter([X])))
    assert (stream.source, stream.local) == (None, True)
    assert not read_inputs(iter([X])).local


@given(count=st.integers(2, 50), fraction=st.floats(0.01, 0.99))
def test_validation_is_split_off_the_end(count: int, fraction: float) -> None:
    inputs = read_inputs(np.arange(count), np.arange(count))
    split = int(count * (1 - fraction))  # Keras: the first floor(n * (1 - fraction)) rows are for training
    if split in (0, count):
        with pytest.raises(ValueError, match="leaves nothing"):
            split_validation(inputs, fraction, [len(X)], 0)
        return
    parts = [part.source for part in split_validation(inputs, fraction, [len(X)], 0)]
    assert parts[0] is not None
    assert parts[1] is not None
    trained, held_out = (rows(part, np.arange(len(part)))[0].tolist() for part in parts if part)
    assert (trained, held_out) == (list(range(split)), list(range(split, count)))


@pytest.mark.parametrize("fraction", [-0.1, 0.0, 1.0, 2.0])
def test_a_split_that_is_no_fraction(fraction: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        split_validation(read_inputs(X, Y), fraction, [len(X)], 0)


def test_a_stream_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="Give validation_data beside an iterable"):
        split_validation(read_inputs(iter([X])), 0.5, [len(X)], 0)


def test_class_weights_are_for_training_alone() -> None:
    inputs = read_inputs(X, Y % 2, class_weight={1: 4.0})
    training, validation = split_validation(inputs, 0.5, [len(X)], 0)
    assert training.source is not None
    assert validation.source is not None
    assert rows(training.source, [0, 1])[2].tolist() == [1.0, 4.0]
    assert len(rows(validation.source, [0, 1])) == 2


@pytest.mark.parametrize(
    "labels",
    [np.array([0, 2, 1]), np.array([[0], [2], [1]]), np.eye(3)[[0, 2, 1]], np.array([0.0, 2.0, 1.0])],
)
def test_class_weights_by_label_column_and_one_hot_row(labels: np.ndarray) -> None:
    weight = {0: 0.5, 2: 3.0}
    assert weigh_classes((X[:3], labels), weight)[2].tolist() == [0.5, 3.0, 1.0]
    given_weights = np.array([2.0, 2.0, 4.0])
    assert weigh_classes((X[:3], labels, given_weights), weight)[2].tolist() == [1.0, 6.0, 4.0]


def test_a_batch_unpacks_as_its_tuple_and_knows_its_place() -> None:
    batch = Batch((X, Y), rows=10, first_row=4, place=24, has_next=True)
    x, y = batch
    assert (x is X, y is Y, batch.rows, batch.first_row, batch.place, batch.has_next) == (
        True, True, 10, 4, 24, True,
    )  # fmt: skip
    assert unpack((X,)) == (X, None, None)
    assert Batch.of(batch, rank=3) is batch


def test_rows_given_by_hand_are_told_apart_by_rank() -> None:
    places = [Batch.of((X, Y), rank).first_row for rank in range(3)]
    assert np.diff(places).min() >= 2**32
    assert Batch.of(X, 0).rows == 10
    with pytest.raises(ValueError, match=r"\(10, 3\), \(9,\)"):
        Batch.of((X, Y[:9]), 0)


def test_of_local_parts_the_last_rows_of_the_whole_are_split_off():
    """Parts of 3, 0 and 5 rows, a quarter of 8 rows: the last two, which the last rank holds."""
    rows = np.arange(8)
    split = []
    for rank, (start, stop) in enumerate([(0, 3), (3, 3), (3, 8)]):
        inputs = read_inputs(LocalPart(rows[start:stop]))
        training, validation = split_validation(inputs, 0.25, [3, 0, 5], rank)
        split.append((len(training.source), len(validation.source)))
    assert split == [(3, 0), (0, 0), (3, 2)]
