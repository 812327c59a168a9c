"""Predictions stand in the order of the data, whoever made them and whoever gets them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distfit import Model, Sequential, data, layers
from distfit.callbacks import Callback, LambdaCallback
from distfit.comm import Communicator
from distfit.errors import CollectiveInRootHook, WouldNotFit
from distfit.training import gather

ROWS = 37
X = np.arange(3.0 * ROWS).reshape(ROWS, 3)


def doubling(comm: Communicator) -> Sequential:
    return Sequential([layers.Rescaling(2.0, input_shape=(3,))], comm=comm)


@pytest.mark.parametrize("batch_size", [1, 5, 16, 37, 1000])
def test_rows_are_in_order_on_all_ranks(comm: Communicator, batch_size: int) -> None:
    np.testing.assert_array_equal(doubling(comm).predict(X, batch_size=batch_size, verbose=0), 2 * X)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_fewer_rows_than_ranks(comm: Communicator, rows: int) -> None:
    np.testing.assert_array_equal(doubling(comm).predict(X[:rows], verbose=0), 2 * X[:rows])


def test_one_row_behind_full_batches(comm: Communicator) -> None:
    np.testing.assert_array_equal(doubling(comm).predict(X[:33], batch_size=32, verbose=0), 2 * X[:33])


def test_root_alone_gets_the_rows(comm: Communicator) -> None:
    predicted = doubling(comm).predict(X, batch_size=5, verbose=0, gather="root")
    assert (predicted is not None) == comm.is_root
    if comm.is_root:
        np.testing.assert_array_equal(predicted, 2 * X)


def test_each_rank_keeps_its_own_rows(comm: Communicator) -> None:
    mine = doubling(comm).predict(X, batch_size=100, verbose=0, gather="none")
    whole = np.concatenate(comm.all_gather_object(mine))  # of one batch the shards follow each other
    np.testing.assert_array_equal(whole, 2 * X)
    nothing = doubling(comm).predict(X[:1], verbose=0, gather="none")
    assert (nothing is None) == (not comm.is_root)


def test_an_unknown_way_to_gather(comm: Communicator) -> None:
    with pytest.raises(ValueError, match=r"'all', 'root', 'none'\. Received: 'some'"):
        doubling(comm).predict(X, verbose=0, gather="some")


def test_into_an_array(comm: Communicator) -> None:
    out = np.zeros((ROWS, 3), np.float32)
    assert doubling(comm).predict(X, batch_size=5, verbose=0, out=out) is out
    np.testing.assert_array_equal(out, 2 * X)


def test_an_array_of_another_shape_is_an_error_on_all_ranks(comm: Communicator) -> None:
    with pytest.raises(ValueError, match="shape"):
        doubling(comm).predict(X, verbose=0, out=np.zeros((ROWS - 1, 3)))


@pytest.mark.parametrize("rows", [1, ROWS])
def test_into_a_file_of_which_each_rank_writes_its_rows(
    comm: Communicator, tmp_path: Path, rows: int
) -> None:
    path = Path(comm.broadcast_object(str(tmp_path))) / "rows.npy"
    if comm.is_root:
        np.lib.format.open_memmap(path, "w+", np.float32, (rows, 3)).flush()
    comm.barrier()
    out = np.lib.format.open_memmap(path, "r+")
    doubling(comm).predict(X[:rows], batch_size=5, verbose=0, out=out)
    np.testing.assert_array_equal(np.load(path), 2 * X[:rows])
    comm.barrier()


@pytest.mark.parametrize("shape", [(ROWS - 1, 3), (ROWS, 2), (ROWS,)])
def test_a_file_of_another_shape_is_an_error_on_all_ranks(
    comm: Communicator, tmp_path: Path, shape: Any
) -> None:
    out = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.float32, shape)
    with pytest.raises(ValueError, match=r"out has the shape .*: make it"):
        doubling(comm).predict(X, batch_size=5, verbose=0, out=out)


def test_a_file_is_written_batch_by_batch(comm: Communicator, tmp_path: Path) -> None:
    path = Path(comm.broadcast_object(str(tmp_path))) / "rows.npy"
    if comm.is_root:
        np.lib.format.open_memmap(path, "w+", np.float32, (ROWS, 3)).flush()
    comm.barrier()
    seen: list[int] = []
    out = np.lib.format.open_memmap(path, "r+")
    look = LambdaCallback(
        on_predict_batch_begin=lambda batch, logs: seen.append(np.count_nonzero(out.any(axis=1)))
    )
    doubling(comm).predict(X, batch_size=8, verbose=0, out=out, callbacks=[look])
    assert seen[0] == 0
    assert seen[-1] >= 8 // comm.size  # of this rank at least those before the last batch
    np.testing.assert_array_equal(np.load(path), 2 * X)
    comm.barrier()


def test_parts_that_ranks_hold(comm: Communicator) -> None:
    edges = [0, 0, 20, 21, ROWS][: comm.size] + [ROWS]  # the first holds nothing, where it is not alone
    part = slice(edges[comm.rank], edges[comm.rank + 1])
    predicted = doubling(comm).predict(data.LocalPart(X[part]), batch_size=8, verbose=0)
    np.testing.assert_array_equal(predicted, 2 * X)


def stream() -> Iterator[np.ndarray]:
    for start in range(0, ROWS, 6):
        yield X[start : start + 6]


def test_a_stream(comm: Communicator) -> None:
    np.testing.assert_array_equal(doubling(comm).predict(stream(), verbose=0), 2 * X)
    np.testing.assert_array_equal(doubling(comm).predict(stream(), steps=2, verbose=0), 2 * X[:12])


def test_streams_of_the_ranks_own_come_batch_by_batch_in_rank_order(comm: Communicator) -> None:
    def mine() -> Iterator[np.ndarray]:
        for batch in range(comm.rank + 1):  # rank r brings r + 1 batches
            yield np.full((2, 3), 10.0 * batch + comm.rank)

    predicted = doubling(comm).predict(data.LocalPart(mine()), verbose=0)
    order = [10.0 * batch + rank for batch in range(comm.size) for rank in range(comm.size) if batch <= rank]
    np.testing.assert_array_equal(predicted[::2, 0], 2 * np.array(order))


def test_what_would_not_fit_is_an_error_on_all_ranks(comm: Communicator, monkeypatch: Any) -> None:
    # The last rank's node is nearly full: room for one copy in two forms, and no more.
    free = 2 * X.size * 4 if comm.rank == comm.size - 1 else 10**12
    monkeypatch.setattr(gather, "_free_bytes", lambda: free)
    model = doubling(comm)
    if comm.size > 1:  # on one node, each rank has a copy
        with pytest.raises(WouldNotFit, match=r"gather='root'"):
            model.predict(X.astype("float32"), verbose=0)
    model.predict(X.astype("float32"), verbose=0, gather="root")
    monkeypatch.setattr(gather, "_free_bytes", lambda: free - 1)
    with pytest.raises(WouldNotFit if comm.size == 1 else MemoryError):
        model.predict(X.astype("float32"), verbose=0)
    model.predict(X.astype("float32"), verbose=0, gather="none")


def two_outputs(comm: Communicator) -> Model:
    left, right = layers.Input((3,), name="left"), layers.Input((1,), name="right")
    joined = layers.Concatenate()([layers.Rescaling(2.0)(left), right])
    return Model([left, right], [joined, layers.Rescaling(-1.0)(right)], comm=comm)


@pytest.mark.parametrize("rows", [1, ROWS])
def test_several_inputs_and_outputs(comm: Communicator, rows: int) -> None:
    left, right = X[:rows], X[:rows, 1:2]
    for x in ([left, right], {"right": right, "left": left}):
        joined, negated = two_outputs(comm).predict(x, batch_size=5, verbose=0)
        np.testing.assert_array_equal(joined, np.concatenate([2 * left, right], axis=1))
        np.testing.assert_array_equal(negated, -right)


def test_one_array_cannot_take_several_outputs(comm: Communicator) -> None:
    with pytest.raises(ValueError, match="2 outputs"):
        two_outputs(comm).predict([X, X[:, :1]], verbose=0, out=np.zeros((ROWS, 4)))


def test_outputs_reach_callbacks_whole(comm: Communicator) -> None:
    class Watch(Callback):
        ranks = "root"

        def __init__(self) -> None:
            self.outputs: list[np.ndarray] = []

        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            self.outputs.append(logs["outputs"])

    watch = Watch()
    doubling(comm).predict(X[:13], batch_size=6, callbacks=[watch], verbose=0)
    if comm.is_root:
        assert [len(outputs) for outputs in watch.outputs] == [6, 6, 1]
        np.testing.assert_array_equal(np.concatenate(watch.outputs), 2 * X[:13])


def test_a_rank_on_its_own_predicts_what_it_is_given(comm: Communicator) -> None:
    model = doubling(comm)
    with model.solo():
        mine = model.predict(X[comm.rank :], verbose=0)
        with pytest.raises(CollectiveInRootHook if comm.size > 1 else Exception):
            model.predict(data.LocalPart(X), verbose=0)
    np.testing.assert_array_equal(mine, 2 * X[comm.rank :])
    comm.barrier()
