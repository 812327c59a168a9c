"""A training that is interrupted, and started again."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit import Sequential, layers, utils
from distfit.callbacks import BackupAndRestore, Callback, LambdaCallback, TimeLimit
from distfit.comm import Communicator

X, Y = line(10)


class Interrupted(Exception):
    """Stands for a power cut."""


class Interrupt(Callback):
    """Raises at a step of the training, or at the end of an epoch, behind the callbacks before it."""

    def __init__(self, *, after_batches: int = 0, after_epoch: int = -1) -> None:
        self.left, self.epoch = after_batches, after_epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            raise Interrupted


def model_with_state(**options: Any) -> Sequential:
    return regression(Communicator.alone(), **{"optimizer": "adam", **options})


def fit(model: Sequential, *callbacks: Any, epochs: int = 4, **options: Any) -> Sequential:
    model.fit(X, Y, batch_size=4, epochs=epochs, verbose=0, callbacks=list(callbacks), **options)
    return model


def interrupted(model: Sequential, *callbacks: Any, **options: Any) -> None:
    with pytest.raises(Interrupted):
        fit(model, *callbacks, **options)


def metadata(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "training_metadata.json").read_text())
    return content


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def test_it_goes_on_as_if_it_had_never_stopped(folder: Path) -> None:
    through = fit(model_with_state())
    interrupted(model_with_state(), BackupAndRestore(folder), Interrupt(after_batches=8))
    again = fit(model_with_state(), BackupAndRestore(folder))
    assert again.history.epoch == [2, 3]
    for key, values in through.history.history.items():
        assert again.history.history[key] == values[2:]
    for weight, expected in zip(again.get_weights(), through.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert again.optimizer.iterations == 12
    assert again.progress.step == 12


def test_the_seed_of_what_is_random_comes_back(folder: Path) -> None:
    first = model_with_state()
    interrupted(first, BackupAndRestore(folder), Interrupt(after_batches=8))
    utils.set_random_seed(99)
    again = model_with_state()
    again.progress.seed = 99
    fit(again, BackupAndRestore(folder))
    assert again.progress.seed == first.progress.seed == 7


def test_a_learning_rate_that_was_changed_comes_back(folder: Path) -> None:
    def halve(epoch: int, logs: Any) -> None:
        first.optimizer.learning_rate *= 0.5

    first = model_with_state()
    interrupted(first, LambdaCallback(on_epoch_end=halve), BackupAndRestore(folder), Interrupt(after_epoch=1))
    again = fit(model_with_state(), BackupAndRestore(folder))
    assert again.optimizer.learning_rate == pytest.approx(0.001 / 4)


def test_what_is_written(folder: Path) -> None:
    interrupted(model_with_state(), BackupAndRestore(folder), Interrupt(after_epoch=1))
    assert metadata(folder) == {
        "epoch": 2,
        "batch": 0,
        "seed": 7,
        "step": 6,
        "weights": "000000006.backup.weights.safetensors",
    }
    assert {path.name for path in folder.iterdir()} == {
        "training_metadata.json",
        "000000006.backup.weights.safetensors",
    }


@pytest.mark.parametrize(
    ("save_freq", "epoch", "batch", "step", "updates"), [(2, 1, 1, 4, 13), (3, 0, 3, 3, 15), (5, 1, 2, 5, 14)]
)
def test_a_number_of_batches(
    folder: Path, save_freq: int, epoch: int, batch: int, step: int, updates: int
) -> None:
    """It goes on at the start of the epoch, with the weights of the backup; epochs and updates are Keras 3.15.1's."""
    interrupted(model_with_state(), BackupAndRestore(folder, save_freq), Interrupt(after_batches=5))
    found = metadata(folder)
    assert (found["epoch"], found["batch"], found["step"]) == (epoch, batch, step)
    again = fit(model_with_state(), BackupAndRestore(folder, save_freq))
    assert again.history.epoch == list(range(epoch, 4))
    assert again.optimizer.iterations == updates


def test_several_batches_at_a_time(folder: Path) -> None:
    steps: list[int] = []

    class Note(BackupAndRestore):
        def _save(self, epoch: int, batch: int) -> None:
            steps.append(self.model.progress.step)

    fit(model_with_state(steps_per_execution=2), Note(folder, save_freq=2), epochs=2)
    assert steps == [2, 5, 6]  # the hook is called behind batches 2, 3, 5 and 6


@pytest.mark.parametrize("delete", [True, False])
def test_at_the_end_of_training_it_is_removed(folder: Path, delete: bool) -> None:
    fit(model_with_state(), BackupAndRestore(folder, delete_checkpoint=delete), epochs=2)
    assert folder.exists() != delete


def test_what_is_left_at_the_end_counts_for_the_next_fit(folder: Path) -> None:
    fit(model_with_state(), BackupAndRestore(folder, delete_checkpoint=False), epochs=2)
    assert fit(model_with_state(), BackupAndRestore(folder), epochs=3).history.epoch == [2]
    assert fit(model_with_state(), BackupAndRestore(folder), epochs=3).history.epoch == [0, 1, 2]


def test_a_later_fit_without_it_begins_at_its_own_epoch(folder: Path) -> None:
    """In Keras 3.15.1 the restored epoch stays with the model, and a later fit begins there."""
    model = model_with_state()
    interrupted(model, BackupAndRestore(folder), Interrupt(after_epoch=1))
    fit(model, BackupAndRestore(folder))
    assert model.history.epoch == [2, 3]
    fit(model)
    assert model.history.epoch == [0, 1, 2, 3]


def test_the_next_job_goes_on_where_time_was_over(folder: Path) -> None:
    ticks = itertools.count(step=10_000)  # so that the seconds since the program began play no part
    limit = TimeLimit(100_000, grace=30_000, check="epoch", clock=lambda: float(next(ticks)))
    through = fit(model_with_state(), epochs=12)
    first = fit(model_with_state(), limit, BackupAndRestore(folder, delete_checkpoint=False), epochs=12)
    ended = first.history.epoch[-1]
    assert 0 < ended < 11
    again = fit(model_with_state(), BackupAndRestore(folder), epochs=12)
    assert again.history.epoch == list(range(ended + 1, 12))
    for weight, expected in zip(again.get_weights(), through.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_the_users_files_in_the_folder_stay(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    fit(model_with_state(), BackupAndRestore(folder))
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def damage(folder: Path, what: str) -> None:
    if what == "metadata":
        (folder / "training_metadata.json").write_text("{")
    elif what == "weights":
        (folder / metadata(folder)["weights"]).write_bytes(b"\x10" * 40)
    else:
        (folder / metadata(folder)["weights"]).unlink()


@pytest.mark.parametrize("what", ["metadata", "weights", "missing weights"])
def test_the_one_before_takes_the_place_of_one_that_cannot_be_read(folder: Path, what: str) -> None:
    saving = {"double_checkpoint": True}
    interrupted(model_with_state(), BackupAndRestore(folder, **saving), Interrupt(after_epoch=2))
    damage(folder, what)
    model = model_with_state()
    with pytest.warns(UserWarning, match="the backup before the last one is restored, since"):
        interrupted(model, BackupAndRestore(folder, **saving), Interrupt(after_epoch=2))
    assert model.progress.step == 9
    damage(folder, what)
    with pytest.warns(UserWarning, match="the backup before the last one is restored, since"):
        assert fit(model_with_state(), BackupAndRestore(folder, **saving)).history.epoch == [2, 3]


@pytest.mark.parametrize("what", ["metadata", "weights", "missing weights"])
def test_without_one_before_it_is_an_error(folder: Path, what: str) -> None:
    interrupted(model_with_state(), BackupAndRestore(folder), Interrupt(after_epoch=2))
    damage(folder, what)
    with pytest.raises((ValueError, OSError), match=r"training_metadata\.json|safetensors"):
        fit(model_with_state(), BackupAndRestore(folder))


def test_a_backup_of_another_model_is_an_error(folder: Path) -> None:
    interrupted(model_with_state(), BackupAndRestore(folder), Interrupt(after_epoch=0))
    wider = Sequential([layers.Dense(5, input_shape=(2,)), layers.Dense(1)], comm=Communicator.alone())
    wider.compile(optimizer="adam", loss="mse")
    with pytest.raises(ValueError, match="do not fit the model"):
        fit(wider, BackupAndRestore(folder))


def test_a_model_whose_loss_has_no_form_on_disk_is_backed_up(folder: Path) -> None:
    def loss(y: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return ((y_pred - y) ** 2)[:, 0], 2 * (y_pred - y)

    interrupted(model_with_state(loss=loss), BackupAndRestore(folder), Interrupt(after_epoch=1))
    assert fit(model_with_state(loss=loss), BackupAndRestore(folder)).history.epoch == [2, 3]


def test_a_model_without_weights_before_its_first_batch_is_an_error(folder: Path) -> None:
    model = Sequential([layers.Dense(1)], comm=Communicator.alone())
    model.compile(optimizer="sgd", loss="mse")
    with pytest.raises(ValueError, match="give the first layer an input_shape="):
        model.fit(iter([(X, Y)]), verbose=0, callbacks=[BackupAndRestore(folder)])


@pytest.mark.parametrize("save_freq", [0, -1, 2.5, True, False, "batch", None])
def test_save_freq_is_epoch_or_a_number_of_batches(folder: Path, save_freq: Any) -> None:
    with pytest.raises(ValueError, match=r"save_freq is 'epoch' or a number of batches\. Received:"):
        BackupAndRestore(folder, save_freq=save_freq)


def test_an_empty_folder_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="backup_dir is the path of a folder"):
        BackupAndRestore("")
