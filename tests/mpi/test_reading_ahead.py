"""Training with batches that are read ahead: nothing is different but the time, and no thread is left."""

import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.small import regression

from distfit import callbacks, data
from distfit.comm import Communicator

ROWS = 43
BAD_ROW = 13  # none of those that fit samples at its start, and not in the first batch


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(5).normal(size=(ROWS, 2))
    return x, x @ np.array([[2.0], [-1.0]]) + 0.5


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read each batch ahead, however little time that takes."""
    monkeypatch.setattr("distfit.data.read_ahead._PAYS_S", 0.0)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("distfit reader")]


def file_of(kind: str, path: Path, x: np.ndarray) -> Any:
    if kind == "memmap":
        np.save(path / "x.npy", x)
        return np.load(path / "x.npy", mmap_mode="r")
    if kind == "HDF5":
        with h5py.File(path / "x.h5", "w") as file:
            file["x"] = x
        return h5py.File(path / "x.h5")["x"]
    return x


def noisy(rows: np.ndarray, context: data.RowContext) -> np.ndarray:
    return rows + 0.1 * context.rng_rows.normal(rows.shape[1:]) if context.training else rows


def trained(comm: Communicator, x: Any, y: np.ndarray, **options: Any) -> list[np.ndarray]:
    model = regression(comm)
    options = {"batch_size": 7, "epochs": 3, "validation_data": (x, y), "verbose": 0, **options}
    model.fit(data.map(x, noisy), y, **options)
    assert threads() == []
    return model.get_weights()


@pytest.mark.parametrize("kind", ["array", "memmap", "HDF5"])
@pytest.mark.parametrize("options", [{}, {"steps_per_epoch": 4}, {"batch_size": 3}], ids=str)
def test_the_weights_are_those_of_reading_in_turn(
    comm: Communicator,
    rows: tuple[np.ndarray, np.ndarray],
    kind: str,
    options: dict[str, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = rows
    monkeypatch.setattr("distfit.data.read_ahead._PAYS_S", float("inf"))
    in_turn = trained(comm, x, y, **options)
    monkeypatch.setattr("distfit.data.read_ahead._PAYS_S", 0.0)
    for one, other in zip(trained(comm, file_of(kind, tmp_path, x), y, **options), in_turn, strict=True):
        np.testing.assert_array_equal(one, other)


class Stop(callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.model.stop_training = batch == 1


class Fail(callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 1 and self.model.comm.is_root:
            raise LookupError("in a hook")


@pytest.mark.usefixtures("always")
def test_no_thread_is_left_by_a_training_that_stops_or_fails(
    comm: Communicator, rows: tuple[np.ndarray, np.ndarray]
) -> None:
    trained(comm, *rows, callbacks=[Stop()])
    with pytest.raises(LookupError, match="in a hook"):
        trained(comm, *rows, callbacks=[Fail()])
    assert threads() == []


@pytest.mark.usefixtures("always")
def test_a_training_goes_on_from_a_checkpoint_with_the_batch_behind_it(
    comm: Communicator, rows: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    folder = comm.broadcast_object(str(tmp_path))
    with pytest.raises(LookupError, match="in a hook"):
        trained(comm, *rows, callbacks=[callbacks.BackupAndRestore(folder, save_freq=1), Fail()])
    went_on = trained(comm, *rows, callbacks=[callbacks.BackupAndRestore(folder, save_freq=1)])
    for one, other in zip(went_on, trained(comm, *rows), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("always")
def test_a_row_that_one_rank_cannot_read_is_an_error_on_all(
    comm: Communicator, rows: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    x, y = rows
    with h5py.File(tmp_path / "x.h5", "w") as file:
        stored = file.create_dataset("x", x.shape, x.dtype, chunks=(1, 2), fletcher32=True)
        stored[...] = x
        if comm.rank == comm.size - 1:
            stored.id.write_direct_chunk((BAD_ROW, 0), bytes(19) + b"\1")  # whose checksum is another
    with h5py.File(tmp_path / "x.h5") as file, pytest.raises(OSError, match="filter returned failure"):
        regression(comm).fit(
            data.LocalPart(file["x"]), data.LocalPart(y), batch_size=7 * comm.size, shuffle=False, verbose=0
        )
    assert threads() == []
