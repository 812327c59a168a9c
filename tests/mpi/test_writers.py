"""Callbacks that write, at several ranks: root's files alone, one process's content, and everybody's errors."""

import errno
import json
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.equivalence import floatx
from support.largest import Largest
from support.small import line, regression
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from distfit import RemoteError, Sequential, data, layers, optimizers, utils
from distfit.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    JSONLogger,
    ModelCheckpoint,
    RemoteMonitor,
    TensorBoard,
)
from distfit.comm import Communicator

X, Y = line(11)
OPTIONS: dict[str, Any] = {"batch_size": 4, "verbose": 0, "validation_data": (X, Y)}

WRITERS = {
    "BackupAndRestore": lambda: BackupAndRestore("out", delete_checkpoint=False),
    "BackupAndRestore of batches": lambda: BackupAndRestore(
        "out", save_freq=2, double_checkpoint=True, delete_checkpoint=False
    ),
    "CSVLogger": lambda: CSVLogger("out"),
    "JSONLogger": lambda: JSONLogger("out"),
    "ModelCheckpoint": lambda: ModelCheckpoint("out/{epoch}.safetensors"),
    "TensorBoard": lambda: TensorBoard("out", histogram_freq=1, write_images=True, update_freq="batch"),
}


@pytest.fixture
def folder(comm: Communicator | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let each rank work in a folder of its own."""
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.chdir(own)
    return own


@pytest.mark.parametrize("writer", WRITERS)
def test_root_alone_writes(comm: Communicator, folder: Path, writer: str) -> None:
    regression(comm).fit(X, Y, epochs=2, callbacks=[WRITERS[writer]()], **OPTIONS)
    assert os.listdir(folder) == (["out"] if comm.is_root else [])


@pytest.mark.parametrize("writer", WRITERS)
def test_a_place_that_cannot_be_written_is_the_same_error_on_all_ranks(
    comm: Communicator, folder: Path, writer: str
) -> None:
    """On root alone, a folder is where a file should be, or the other way around."""
    if comm.is_root:
        if writer in ("CSVLogger", "JSONLogger"):
            (folder / "out").mkdir()
        else:
            (folder / "out").write_text("in the way")
    behind = Count()
    model = regression(comm)
    with pytest.raises(OSError, match="out") as caught:
        model.fit(X, Y, epochs=2, callbacks=[WRITERS[writer](), behind], **OPTIONS)
    assert isinstance(caught.value, RemoteError) == (not comm.is_root)
    assert behind.epochs == 0
    assert model.fit(X, Y, epochs=2, **OPTIONS).epoch == [0, 1]  # and the ranks can train on


class Count(Callback):
    """Counts the epochs whose end it saw."""

    def __init__(self) -> None:
        self.epochs = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs += 1


@pytest.fixture
def alone(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that trains in one process, in a folder of its own, which it returns."""

    def train(callback: Callback) -> Path:
        place = tmp_path / "alone"
        place.mkdir()
        monkeypatch.chdir(place)
        regression(Communicator.alone()).fit(X, Y, epochs=2, callbacks=[callback], **OPTIONS)
        return place

    return train


def same_numbers(here: Any, there: Any) -> None:
    assert len(here) == len(there) > 0
    for row, expected in zip(here, there, strict=True):
        assert row == pytest.approx(expected, rel=1e-4)


def test_lines_of_json_are_those_of_one_process(comm: Communicator, folder: Path, alone: Any) -> None:
    model = regression(comm)
    history = model.fit(X, Y, epochs=2, callbacks=[JSONLogger("out")], **OPTIONS).history
    place = alone(JSONLogger("out"))
    if comm.is_root:
        rows = [json.loads(text) for text in (folder / "out").read_text().splitlines()]
        same_numbers(rows, [json.loads(text) for text in (place / "out").read_text().splitlines()])
        assert rows == [{"epoch": n, **{key: values[n] for key, values in history.items()}} for n in range(2)]


def scalars(folder: Path) -> list[dict[str, float]]:
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    return [
        {f"{tag} {event.step}": event.value for event in reader.Scalars(tag)}
        for tag in reader.Tags()["scalars"]
    ]


def test_tensorboard_shows_what_one_process_would(comm: Communicator, folder: Path, alone: Any) -> None:
    regression(comm).fit(X, Y, epochs=2, callbacks=[TensorBoard("out", update_freq="batch")], **OPTIONS)
    place = alone(TensorBoard("out", update_freq="batch"))
    if comm.is_root:
        for part in ("train", "validation"):
            same_numbers(scalars(folder / "out" / part), scalars(place / "out" / part))


# -- a server ---------------------------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        received: list[Any] = self.server.received  # type: ignore[attr-defined]
        received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    """A server of each rank's own, which remembers what it was sent."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.received = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


def test_root_alone_sends(comm: Communicator, server: Any) -> None:
    monitor = RemoteMonitor(f"http://127.0.0.1:{server.server_address[1]}", send_as_json=True)
    history = regression(comm).fit(X, Y, epochs=2, callbacks=[monitor], **OPTIONS).history
    rows = [{"epoch": n, **{key: values[n] for key, values in history.items()}} for n in range(2)]
    assert server.received == (rows if comm.is_root else [])


@pytest.mark.filterwarnings("ignore:RemoteMonitor could not reach its server")
def test_a_server_that_is_not_there_ends_no_training(comm: Communicator) -> None:
    with HTTPServer(("127.0.0.1", 0), Handler) as gone:
        address = f"http://127.0.0.1:{gone.server_address[1]}"
    assert regression(comm).fit(X, Y, epochs=2, callbacks=[RemoteMonitor(address)], **OPTIONS).epoch == [0, 1]


# -- an interruption --------------------------------------------------------------------------------------------------


class PowerCut(Exception):
    """Ends a training."""


class Interrupt(Callback):
    """Raises on one rank, at a batch of an epoch."""

    def __init__(self, rank: int, epoch: int, batch: int) -> None:
        self.rank, self.at = rank, (epoch, batch)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self.epoch, batch) == self.at and self.model.comm.rank == self.rank:
            raise PowerCut


def net(comm: Communicator, *, seed: int = 3) -> Sequential:
    """Return a model with all kinds of state; its first weights follow from the seed, and those of a run from root."""
    utils.set_random_seed(seed)
    model = Sequential(
        [
            layers.Dense(6, activation="tanh", input_shape=(2,)),
            layers.BatchNormalization(),
            layers.Dropout(0.25),
            layers.Dense(1),
        ],
        comm=comm,
    )
    model.compile(optimizer=optimizers.Adam(0.01), loss="mse", metrics=["mae", Largest()])
    return model


@pytest.fixture
def exact() -> Iterator[None]:
    """Compute in float64: Adam divides small sums by small sums, and shows their rounding."""
    with floatx("float64"):
        yield


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("before", [1, 2, 3])
@pytest.mark.parametrize("save_freq", ["epoch", 1, 2])
def test_a_training_goes_on_as_if_it_had_never_stopped(
    comm: Communicator, folder: Path, before: int, save_freq: Any
) -> None:
    """At another number of ranks, too, and within an epoch."""
    through = net(Communicator.alone())
    expected = through.fit(X, Y, epochs=5, **OPTIONS).history
    part = comm.split(0 if comm.rank < min(before, comm.size) else None)
    if part is not None:
        with pytest.raises(PowerCut):
            net(part).fit(
                X, Y, epochs=5, **OPTIONS,
                callbacks=[BackupAndRestore("out", save_freq), Interrupt(part.size - 1, 3, 1)],
            )  # fmt: skip
        part.close()
    again = net(comm, seed=99)  # the order of the rows, too, is that of the training that goes on
    history = again.fit(X, Y, epochs=5, callbacks=[BackupAndRestore("out", save_freq)], **OPTIONS)
    assert history.epoch == list(range(5))
    assert history.history.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_allclose(history.history[key], values, rtol=1e-8, err_msg=key)
    for weights in comm.all_gather_object(again.get_weights()):
        for weight, other in zip(weights, through.get_weights(), strict=True):
            np.testing.assert_allclose(weight, other, rtol=0, atol=1e-8)
    steps = (again.progress.step, again.optimizer.iterations, again.progress.seed)
    assert comm.all_gather_object(steps) == [(15, 15, through.progress.seed)] * comm.size
    assert os.listdir(folder) == []  # the backup has served


def test_what_a_backup_does_not_fit_is_the_same_error_on_all_ranks(comm: Communicator, folder: Path) -> None:
    with pytest.raises(PowerCut):
        net(comm).fit(X, Y, epochs=2, callbacks=[BackupAndRestore("out"), Interrupt(0, 1, 0)], **OPTIONS)
    model = regression(comm)
    with pytest.raises(ValueError, match="do not fit the model") as caught:
        model.fit(X, Y, epochs=2, callbacks=[BackupAndRestore("out")], **OPTIONS)
    assert isinstance(caught.value, RemoteError) == (not comm.is_root)


@pytest.mark.parametrize("background", [True, False])
def test_a_full_disk_is_an_error_on_all_ranks_and_the_checkpoint_before_it_is_there(
    comm: Communicator, folder: Path, monkeypatch: pytest.MonkeyPatch, background: bool
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Fill(Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2 and comm.is_root:
                monkeypatch.setattr(os, "fsync", full)

    def train(*callbacks: Callback) -> Sequential:
        model = net(comm)
        model.fit(X, Y, epochs=4, callbacks=list(callbacks), **OPTIONS)
        return model

    through = train()
    with pytest.raises(OSError, match="No space left on device") as caught:
        train(BackupAndRestore("out", background=background), Fill())
    assert isinstance(caught.value, RemoteError) == (not comm.is_root)
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    again = train(BackupAndRestore("out", background=background))
    assert again.history.history == through.history.history
    for weight, other in zip(again.get_weights(), through.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.parametrize("file", ["weights.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_passed_over_on_all_ranks(
    comm: Communicator, folder: Path, file: str
) -> None:
    through = net(comm)
    through.fit(X, Y, epochs=4, **OPTIONS)
    with pytest.raises(PowerCut):
        net(comm).fit(
            X, Y, epochs=4, **OPTIONS,
            callbacks=[BackupAndRestore("out", double_checkpoint=True), Interrupt(comm.size - 1, 3, 1)],
        )  # fmt: skip
    if comm.is_root:
        path = folder / "out" / "checkpoint-000003" / file
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 64
        path.write_bytes(content)
    again = net(comm)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        again.fit(X, Y, epochs=4, callbacks=[BackupAndRestore("out")], **OPTIONS)
    assert [f"checkpoint-000003/{file}" in str(one.message) or file in str(one.message) for one in told] == (
        [True] if comm.is_root else []
    )
    assert again.history.history == through.history.history


def test_streams_of_unequal_lengths_go_on_within_an_epoch(comm: Communicator, folder: Path) -> None:
    """Rank r brings 2 (r + 1) batches an epoch, so that some ranks have none left at the end of it."""

    class Batches:
        def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            return ((X[k : k + 2], Y[k : k + 2]) for k in range(2 * (comm.rank + 1)))

    def train(*callbacks: Callback) -> Sequential:
        model = net(comm)
        model.fit(data.LocalPart(Batches()), epochs=3, verbose=0, callbacks=list(callbacks))
        return model

    through = train()
    last = 2 * comm.size - 1
    with pytest.raises(PowerCut):
        train(BackupAndRestore("out", 1, background=False), Interrupt(comm.size - 1, 1, last))
    again = train(BackupAndRestore("out"))
    assert again.history.history == through.history.history
    for weight, other in zip(again.get_weights(), through.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_what_callbacks_changed_of_the_optimizer_and_skipped_updates_come_back_on_all_ranks(
    comm: Communicator, folder: Path
) -> None:
    x = X.copy()
    x[1] = np.nan

    class Change(Callback):
        ranks = "root"

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                self.model.optimizer.global_clipnorm = 0.25

    def train(*callbacks: Callback) -> Sequential:
        model = regression(comm, optimizer=optimizers.SGD(0.05), on_nan="skip")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that updates are skipped
            model.fit(x, Y, batch_size=4, epochs=4, verbose=0, callbacks=[*callbacks, Change()])
        return model

    through = train()
    with pytest.raises(PowerCut):
        train(BackupAndRestore("out", 1, background=False), Interrupt(0, 2, 1))
    again = train(BackupAndRestore("out"))
    known = (again.optimizer.global_clipnorm, again.numerics.skipped)
    assert comm.all_gather_object(known) == [(0.25, through.numerics.skipped)] * comm.size
    assert through.numerics.skipped == 4
    for weight, other in zip(again.get_weights(), through.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_a_validation_that_a_signal_to_one_rank_breaks_off(comm: Communicator, folder: Path) -> None:
    class Signal(Callback):
        def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
            if sends and comm.rank == comm.size - 1 and (self.model.progress.step, batch) == (6, 1):
                os.kill(os.getpid(), signal.SIGUSR1)

    def train(*callbacks: Callback) -> Sequential:
        model = net(comm)
        model.fit(X, Y, epochs=4, callbacks=[*callbacks, Signal()], **{**OPTIONS, "validation_batch_size": 2})
        return model

    sends = False
    through = train()
    sends = True
    first = train(BackupAndRestore("out"))
    assert first.interrupted
    assert first.history.epoch == [0, 1]
    assert len(first.history.history["val_loss"]) == 1  # that of the second epoch was broken off
    sends = False
    again = train(BackupAndRestore("out"))
    assert again.history.history == through.history.history
    for weight, other in zip(again.get_weights(), through.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)
