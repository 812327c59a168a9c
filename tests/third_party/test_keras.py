"""Keras's own callbacks, and what users derive from its Callback, in distfit's fit: unmodified, on root."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support.foreign import Outcome, assert_equal_on_all_ranks, assert_same, fit
from support.small import line, regression

from distfit import callbacks
from distfit.comm import Communicator

pytestmark = pytest.mark.ranks(2)


@pytest.fixture
def folder(comm: Communicator | None, tmp_path: Path) -> Path | None:
    """One folder for all ranks: root's."""
    return None if comm is None else comm.broadcast_object(tmp_path)


def alike(comm: Communicator, make: Any, **options: Any) -> Outcome:
    """Train at two ranks, at one, and assert that callbacks made by `make` have come to the same."""
    here = fit(comm, make(), **options)
    assert_equal_on_all_ranks(comm, here)
    assert_same(here, fit(Communicator.alone(), make(), **options))
    return here


STOPPING = [
    {"monitor": "loss", "min_delta": 0.05, "patience": 1},
    {"monitor": "val_loss", "min_delta": 0.02, "patience": 2, "restore_best_weights": True},
    {"monitor": "mae", "mode": "max", "patience": 2, "start_from_epoch": 3, "restore_best_weights": True},
]


@pytest.mark.parametrize("options", STOPPING)
def test_early_stopping_of_keras_is_distfit_s(comm: Communicator, options: dict[str, Any]) -> None:
    theirs, ours = keras.callbacks.EarlyStopping(**options), callbacks.EarlyStopping(**options)
    outcome = fit(comm, [theirs], epochs=40)
    assert_equal_on_all_ranks(comm, outcome)
    expected = fit(comm, [ours], epochs=40)
    assert_same(outcome, expected)
    assert 2 <= len(outcome.history["loss"]) < 40
    assert comm.broadcast_object(theirs.stopped_epoch) == ours.stopped_epoch
    assert_same(outcome, fit(Communicator.alone(), [keras.callbacks.EarlyStopping(**options)], epochs=40))


def test_a_learning_rate_is_reduced_on_all_ranks(comm: Communicator) -> None:
    options = {"monitor": "val_loss", "factor": 0.5, "patience": 1, "min_delta": 1.0, "min_lr": 0.002}
    outcome = alike(comm, lambda: [keras.callbacks.ReduceLROnPlateau(**options)])
    assert_same(outcome, fit(comm, [callbacks.ReduceLROnPlateau(**options)]))
    assert outcome.history["learning_rate"] == [0.01, 0.01, 0.005, 0.0025, 0.002, 0.002]
    assert outcome.learning_rate == 0.002


def test_a_schedule_of_keras_holds_on_all_ranks(comm: Communicator) -> None:
    def halved(epoch: int, rate: float) -> float:
        return 0.5 * rate

    outcome = alike(comm, lambda: [keras.callbacks.LearningRateScheduler(halved)])
    assert_same(outcome, fit(comm, [callbacks.LearningRateScheduler(halved)]))
    np.testing.assert_allclose(outcome.history["learning_rate"], 0.01 * 0.5 ** np.arange(1, 7))


def test_root_alone_writes_a_csv_file(comm: Communicator, folder: Path) -> None:
    def logging(name: str, group: Communicator) -> tuple[list[str], np.ndarray]:
        history = fit(group, [keras.callbacks.CSVLogger(folder / name)], epochs=3).history
        group.barrier()
        header, *rows = (folder / name).read_text().splitlines()
        values = np.array([[float(value) for value in row.split(",")] for row in rows])
        assert header.split(",") == ["epoch", *history]
        np.testing.assert_array_equal(values.T, [[0, 1, 2], *history.values()])
        return header, values

    header, values = logging("ranks.csv", comm)
    alone = logging(f"alone-{comm.rank}.csv", Communicator.alone())
    assert header == alone[0]
    np.testing.assert_allclose(values, alone[1], rtol=1e-4)
    comm.barrier()
    assert sorted(path.name for path in folder.iterdir()) == ["alone-0.csv", "alone-1.csv", "ranks.csv"]


def test_nan_ends_training_on_all_ranks(comm: Communicator, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = line()
    y[-1] = np.nan  # a row of the last rank's
    model = regression(comm)
    model.fit(x, y, batch_size=20, epochs=4, verbose=0, callbacks=[keras.callbacks.TerminateOnNaN()])
    assert model.history.epoch == [0]
    assert comm.all_gather_object(model.stop_training) == [True] * comm.size
    assert ("Invalid loss" in capsys.readouterr().out) == comm.is_root


@pytest.mark.parametrize(
    "hook", ["on_train_batch_end", "on_batch_end", "on_train_batch_begin", "on_epoch_end"]
)
def test_a_function_decides_for_all_ranks_on_root(comm: Communicator, hook: str) -> None:
    model, seen = regression(comm), []

    def stop(number: int, logs: Any = None) -> None:
        seen.append(number)
        model.stop_training = number == 1

    model.fit(
        *line(), batch_size=4, epochs=3, verbose=0, callbacks=[keras.callbacks.LambdaCallback(**{hook: stop})]
    )
    assert seen == ([0, 1] if comm.is_root else [])
    assert model.progress.step == (2 if "batch" in hook else 6)


def test_keras_s_history_and_progress(comm: Communicator, capsys: pytest.CaptureFixture[str]) -> None:
    history = keras.callbacks.History()
    outcome = fit(comm, [history, keras.callbacks.ProgbarLogger()], epochs=2, verbose=2)
    told = capsys.readouterr().out
    assert history.history == (outcome.history if comm.is_root else {})
    assert told.count("Epoch 1/2\n4/4 - ") == told.count("Epoch 2/2\n4/4 - ") == comm.is_root


class Users(keras.callbacks.Callback):
    """What a user writes, with a word on ranks nowhere."""

    def __init__(self, samples: np.ndarray) -> None:
        super().__init__()
        self.samples = samples
        self.losses: list[float] = []
        self.predictions: list[np.ndarray] = []

    def on_train_begin(self, logs: Any = None) -> None:
        assert logs is None or logs == {}
        self.model.set_weights([0.5 * weight for weight in self.model.get_weights()])

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.model.optimizer.learning_rate = 0.02 / (1 + batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.losses.append(logs["loss"])
        if len(self.losses) == 7:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.predictions.append(self.model.predict(self.samples, verbose=0))
        logs["samples"] = float(self.predictions[-1].mean())
        logs["rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        assert self.params["epochs"] == 6


def test_a_user_s_subclass_does_what_it_does_at_one_rank(comm: Communicator) -> None:
    made: list[Users] = []

    def make() -> list[Users]:
        made.append(Users(line(3)[0]))
        return made[-1:]

    outcome = alike(comm, make)
    here, alone = made
    assert len(outcome.history["loss"]) == 2
    assert outcome.history["rate"] == [0.02 / 4, 0.02 / 3]
    if comm.is_root:
        np.testing.assert_allclose(here.losses, alone.losses, rtol=1e-4)
        np.testing.assert_allclose(here.predictions, alone.predictions, atol=1e-5)
    else:
        assert here.losses == here.predictions == []


class Fails(keras.callbacks.Callback):
    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        raise OSError("the disk is full")


def test_an_error_of_a_callback_is_one_on_all_ranks(comm: Communicator) -> None:
    with pytest.raises(OSError, match="the disk is full"):
        fit(comm, [Fails()])
