"""The thread that reads ahead: what comes of it, its errors, and its end."""

import threading
import traceback

import numpy as np
import pytest

from distfit.data import EvenPartition, IndexedFeed, Order, read_inputs, taking
from distfit.data.read_ahead import ReadAhead


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("distfit reader")]


def fails() -> None:
    raise OSError("the disk is gone")


def test_an_error_is_raised_where_the_result_is_asked_for_with_the_line_that_raised_it() -> None:
    with ReadAhead() as ahead:
        ahead.start(fails)
        with pytest.raises(OSError, match="the disk is gone") as raised:
            ahead.result(fails)
    assert traceback.extract_tb(raised.value.__traceback__)[-1].name == "fails"


def test_an_error_that_nobody_asks_for_is_none() -> None:
    with ReadAhead() as ahead:
        ahead.start(fails)
        ahead.forget()
        assert ahead.result(lambda: 1) == 1
        ahead.start(fails)


def test_what_is_read_quickly_needs_no_thread() -> None:
    with ReadAhead() as ahead:
        ahead.result(lambda: 1)
        assert not ahead.pays
    assert not readers()


def test_the_thread_ends_behind_the_read_that_is_under_way() -> None:
    begun, goes_on = threading.Event(), threading.Event()
    done = []

    def read() -> None:
        begun.set()
        goes_on.wait(60)
        done.append("read")

    with ReadAhead() as ahead:
        ahead.start(read)
        assert begun.wait(60)
        assert len(readers()) == 1
        goes_on.set()
    assert done == ["read"]
    assert not readers()


def test_each_batch_is_read_once_and_none_behind_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distfit.data.read_ahead._PAYS_S", 0.0)
    read, threads = [], set()

    def take(leaf: np.ndarray, indices: np.ndarray) -> np.ndarray:
        threads.add(threading.current_thread().name)
        read.append(indices.tolist())
        return taking.take(leaf, indices)

    source = read_inputs(np.arange(10)).source
    assert source is not None
    monkeypatch.setattr("distfit.data.source.take", take)
    order = Order(10, shuffle=False)
    with IndexedFeed(source, order, 4, EvenPartition(0, 1), training=True) as feed:
        feed.begin(0, seed=1)
        seen = [feed.fetch(step)[0].tolist() for step in range(3)]
    assert seen == read == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(threads) == 2


class Own:
    """A sequence of a user's."""

    def __init__(self) -> None:
        self.threads: set[str] = set()

    def __len__(self) -> int:
        return 12

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        self.threads.add(threading.current_thread().name)
        return 2 * rows


def test_code_of_a_users_is_called_in_the_users_thread_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distfit.data.read_ahead._PAYS_S", 0.0)
    own = Own()
    source = read_inputs(own).source
    assert source is not None
    with IndexedFeed(source, Order(12), 4, EvenPartition(0, 1), training=True) as feed:
        feed.begin(0, seed=1)
        for step in range(3):
            feed.fetch(step)
    assert own.threads == {threading.current_thread().name}


@pytest.mark.parametrize("rows", [[3, 4, 5], [0, 2, 9], [7]], ids=str)
def test_rows_of_a_memory_mapped_file_are_those_of_the_array(rows: list[int], tmp_path) -> None:
    x = np.arange(10 * 3000, dtype=np.float32).reshape(10, 3000)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "f.npy", np.asfortranarray(x))
    for name in ("x.npy", "f.npy"):
        mapped = np.load(tmp_path / name, mmap_mode="r")
        np.testing.assert_array_equal(taking.take(mapped, np.asarray(rows)), x[rows])
