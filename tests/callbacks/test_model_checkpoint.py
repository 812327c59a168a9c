"""Under which names and how often a model is saved, on scripted logs, and what a file holds."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.scripted import ScriptedModel, losses, play
from support.small import line, regression

from distfit import load_model
from distfit.callbacks import BackupAndRestore, Callback, ModelCheckpoint
from distfit.checkpoint import Retention, Store, load
from distfit.comm import Communicator


def names(callback: ModelCheckpoint, epochs: list[dict[str, Any]], **directions: str) -> list[str]:
    """Return the names that are saved under, without folder and ending."""
    model = ScriptedModel(**directions)
    play(callback, epochs, model)
    return [os.path.basename(path).partition(".s")[0] for _, path in model.saved]


def test_a_name_has_the_epoch_from_1_and_any_value_of_the_logs() -> None:
    saving = ModelCheckpoint("{epoch:02d}-{val_loss:.2f}-{note}.safetensors")
    assert names(saving, [{"val_loss": 0.5, "note": "a"}, {"val_loss": 0.125, "note": "b"}]) == [
        "01-0.50-a",
        "02-0.12-b",
    ]


def test_a_log_value_called_epoch_does_not_hide_the_number() -> None:
    assert names(ModelCheckpoint("{epoch}.safetensors"), [{"epoch": 9.0, "val_loss": 1.0}]) == ["1"]


def test_a_field_that_the_logs_have_not_is_an_error_that_lists_them() -> None:
    with pytest.raises(KeyError, match=r"the field 'val_acc'.*epoch, loss, mae"):
        names(ModelCheckpoint("{val_acc}.safetensors"), [{"loss": 1.0, "mae": 2.0}])


@pytest.mark.parametrize("folder", ["a.weights.b", Path("plain")])
@pytest.mark.parametrize(
    ("name", "only", "what"),
    [
        ("m.safetensors", False, "model"),
        ("m.safetensors", True, "weights"),
        ("m.npz", True, "weights"),
        ("m.weights.safetensors", False, "weights"),
        ("m.weights.npz", False, "weights"),
    ],
)
def test_the_ending_says_whether_weights_alone_are_saved(
    folder: Any, name: str, only: bool, what: str
) -> None:
    path = os.path.join(folder, name)
    saving, model = ModelCheckpoint(path, save_weights_only=only), ScriptedModel()
    assert saving.save_weights_only == (what == "weights")
    play(saving, losses(1.0), model)
    assert model.saved == [(what, path)]


@pytest.mark.parametrize(
    ("name", "only"),
    [("m.keras", False), ("m.npz", False), ("m", False), ("m.weights.h5", False), ("m.h5", True)],
)
def test_another_ending_is_an_error_at_once(name: str, only: bool) -> None:
    with pytest.raises(ValueError, match=rf"ends in .*\.safetensors.*Received: filepath='{name}'"):
        ModelCheckpoint(name, save_weights_only=only)


@pytest.mark.parametrize("save_freq", [0, -1, 2.5, True, False, "batch", None])
def test_save_freq_is_epoch_or_a_number_of_batches(save_freq: Any) -> None:
    with pytest.raises(ValueError, match=r"save_freq is 'epoch' or a number of batches\. Received:"):
        ModelCheckpoint("m.safetensors", save_freq=save_freq)


BEST: dict[str, tuple[dict[str, Any], list[float], list[str]]] = {
    "lower": ({}, [0.5, 0.6, 0.4, 0.4, 0.3], ["1", "3", "5"]),
    "higher": ({"mode": "max"}, [0.5, 0.6, 0.4, 0.6, 0.7], ["1", "2", "5"]),
    "below a threshold": ({"initial_value_threshold": 0.45}, [0.5, 0.6, 0.4, 0.5], ["3"]),
    "above a threshold": ({"mode": "max", "initial_value_threshold": 0.55}, [0.5, 0.6], ["2"]),
    "never NaN after a number": ({}, [0.5, float("nan"), 0.4], ["1", "3"]),
}


@pytest.mark.parametrize(("arguments", "values", "expected"), BEST.values(), ids=BEST)
def test_save_best_only(arguments: dict[str, Any], values: list[float], expected: list[str]) -> None:
    saving = ModelCheckpoint("{epoch}.safetensors", monitor="loss", save_best_only=True, **arguments)
    assert names(saving, losses(*values)) == expected


def test_the_best_is_kept_from_fit_to_fit() -> None:
    saving = ModelCheckpoint("{epoch}.safetensors", monitor="loss", save_best_only=True)
    assert names(saving, losses(0.5, 0.4)) == ["1", "2"]
    assert names(saving, losses(0.45, 0.3)) == ["2"]
    assert saving.best == 0.3


def test_best_by_the_metrics_direction() -> None:
    saving = ModelCheckpoint("{epoch}.safetensors", monitor="val_accuracy", save_best_only=True)
    assert names(saving, losses(0.5, 0.4, 0.6, key="val_accuracy"), accuracy="max") == ["1", "3"]


def test_what_cannot_be_compared_is_saved_with_a_warning() -> None:
    saving = ModelCheckpoint("{epoch}.safetensors", save_best_only=True)
    with pytest.warns(UserWarning, match="'val_loss' is not among the logs: loss"):
        assert names(saving, losses(1.0, 2.0)) == ["1", "2"]
    with pytest.warns(UserWarning, match="'val_loss' is no single number; the model is saved"):
        assert names(saving, [{"val_loss": np.array([1.0, 2.0])}]) == ["1"]


def test_best_of_an_unknown_metric_is_an_error() -> None:
    with pytest.raises(ValueError, match="'speed' is better when it rises or when it falls"):
        names(ModelCheckpoint("m.safetensors", monitor="speed", save_best_only=True), losses(1.0))


# -- a number of batches ----------------------------------------------------------------------------------------------


def batches(
    callback: ModelCheckpoint, epochs: list[list[int]], model: ScriptedModel | None = None
) -> list[str]:
    """Call the hooks at the ends of these batches, with a loss that falls in the first epoch and then rises."""
    model = model or ScriptedModel()
    callback.set_model(model)
    callback.on_train_begin({})
    before = len(model.saved)
    for epoch, ends in enumerate(epochs):
        callback.on_epoch_begin(epoch, {})
        for batch in ends:
            value = 3.0 - batch if epoch == 0 else 1.0 + batch
            callback.on_train_batch_end(batch, {"loss": value})
        callback.on_epoch_end(epoch, {"loss": 1.0, "val_loss": 1.0})
    callback.on_train_end({})
    return [path.removesuffix(".safetensors") for _, path in model.saved[before:]]


CADENCE: dict[str, tuple[int, list[list[int]], list[str]]] = {
    "each batch": (1, [[0, 1], [0, 1]], ["e1-b1", "e1-b2", "e2-b1", "e2-b2"]),
    "counted across epochs": (2, [[0, 1, 2], [0, 1, 2]], ["e1-b2", "e2-b1", "e2-b3"]),
    "more than an epoch": (4, [[0, 1, 2]] * 3, ["e2-b1", "e3-b2"]),
    "two batches at a time": (4, [[1, 3, 5], [1, 3, 5]], ["e1-b4", "e2-b2", "e2-b6"]),
    "the last time fewer": (3, [[1, 2], [1, 2]], ["e1-b3", "e2-b3"]),
    "more at a time than between saves": (2, [[3, 7]], ["e1-b4", "e1-b8"]),
}


@pytest.mark.parametrize(("save_freq", "epochs", "expected"), CADENCE.values(), ids=CADENCE)
def test_saves_after_a_number_of_batches(
    save_freq: int, epochs: list[list[int]], expected: list[str]
) -> None:
    saving = ModelCheckpoint("e{epoch}-b{batch}.safetensors", save_freq=save_freq)
    assert batches(saving, epochs) == expected


def test_each_fit_counts_from_its_start() -> None:
    saving = ModelCheckpoint("e{epoch}-b{batch}.safetensors", save_freq=2)
    assert batches(saving, [[0, 1, 2]]) == ["e1-b2"]
    assert batches(saving, [[0, 1, 2]]) == ["e1-b2"]


def test_the_best_of_batches() -> None:
    saving = ModelCheckpoint(
        "e{epoch}-b{batch}.safetensors", monitor="loss", save_best_only=True, save_freq=1
    )
    assert batches(saving, [[0, 1, 2], [0, 1, 2]]) == ["e1-b1", "e1-b2", "e1-b3"]


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("steps_per_execution", "expected"), [(1, "12 21 23"), (2, "12 22 23")])
def test_a_training_saves_between_batches(tmp_path: Path, steps_per_execution: int, expected: str) -> None:
    model = regression(Communicator.alone(), steps_per_execution=steps_per_execution)
    saving = ModelCheckpoint(tmp_path / "{epoch}{batch}.safetensors", save_freq=2)
    model.fit(*line(10), batch_size=4, epochs=2, verbose=0, callbacks=[saving])
    assert " ".join(sorted(path.stem for path in tmp_path.iterdir())) == expected


def test_a_file_holds_the_model_of_its_epoch(tmp_path: Path) -> None:
    model = regression(Communicator.alone())
    x, y = line()
    after: list[list[np.ndarray]] = []

    class Note(ModelCheckpoint):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            super().on_epoch_end(epoch, logs)
            after.append(self.model.get_weights())

    model.fit(
        x, y, epochs=2, verbose=0, callbacks=[Note(tmp_path / "in" / "a" / "folder" / "{epoch}.safetensors")]
    )
    for epoch in (1, 2):
        loaded = load_model(tmp_path / "in" / "a" / "folder" / f"{epoch}.safetensors", compile=False)
        for weight, expected in zip(loaded.get_weights(), after[epoch - 1], strict=True):
            np.testing.assert_array_equal(weight, expected)


def test_weights_alone_are_loaded_into_a_model(tmp_path: Path) -> None:
    model, other = regression(Communicator.alone()), regression(Communicator.alone())
    path = tmp_path / "some.weights.npz"
    model.fit(*line(), epochs=1, verbose=0, callbacks=[ModelCheckpoint(path)])
    other.load_weights(path)
    for weight, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_verbose_says_what_was_saved(capsys: pytest.CaptureFixture[str]) -> None:
    names(ModelCheckpoint("{epoch}.safetensors", verbose=1), losses(1.0, 2.0))
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 1: saved 1.safetensors",
        "Epoch 2: saved 2.safetensors",
    ]


def test_checkpoints_of_which_some_are_kept(tmp_path: Path) -> None:
    """The last one and the two best of five epochs, each with the weights that it had."""
    folder, weights, losses_seen = tmp_path / "kept", [], [0.5, 0.3, 0.4, 0.2, 0.6]

    class Scripted(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["val_loss"] = losses_seen[epoch]
            weights.append(model.get_weights())

    model = regression(Communicator.alone(), optimizer="adam")
    saving = ModelCheckpoint(folder, retention=Retention(last=1, best=2, monitor="val_loss"))
    model.fit(*line(), epochs=5, verbose=0, callbacks=[Scripted(), saving])
    assert [path.name for path in Store(folder).paths()] == [f"checkpoint-00000{n}" for n in (5, 4, 2)]
    again = regression(Communicator.alone(), optimizer="adam")
    for number in (2, 4, 5):
        again.load_weights(folder / f"checkpoint-00000{number}")
        for weight, expected in zip(again.get_weights(), weights[number - 1], strict=True):
            np.testing.assert_array_equal(weight, expected)
        assert again.optimizer.iterations == number


def test_a_file_is_no_folder_of_checkpoints() -> None:
    with pytest.raises(ValueError, match="checkpoints are saved to a folder of their own"):
        ModelCheckpoint("a.safetensors", retention=Retention())


def test_a_checkpoint_is_no_model(tmp_path: Path) -> None:
    model = regression(Communicator.alone())
    model.fit(*line(), verbose=0, callbacks=[ModelCheckpoint(tmp_path / "kept", retention=Retention())])
    with pytest.raises(ValueError, match="holds no model: load_weights reads a file of weights alone"):
        load_model(tmp_path / "kept" / "checkpoint-000001", comm=Communicator.alone())


def test_the_best_of_a_metric_that_rises_are_kept(tmp_path: Path) -> None:
    """Which of them it is, the metric says, as with monitor=."""

    class Scripted(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["val_binary_accuracy"] = [0.5, 0.9, 0.7, 0.8, 0.6][epoch]

    model = regression(Communicator.alone(), metrics=["binary_accuracy"])
    saving = ModelCheckpoint(tmp_path, retention=Retention(best=2, monitor="val_binary_accuracy"))
    model.fit(*line(), epochs=5, verbose=0, callbacks=[Scripted(), saving])
    assert [path.name for path in Store(tmp_path).paths()] == [f"checkpoint-00000{n}" for n in (5, 4, 2)]


def test_a_metric_that_is_missing_is_no_best_and_there_is_a_warning(tmp_path: Path) -> None:
    model = regression(Communicator.alone())
    saving = ModelCheckpoint(tmp_path, retention=Retention(best=2, monitor="val_loss"))
    with pytest.warns(UserWarning, match="'val_loss' is not among the logs"):
        model.fit(*line(), epochs=2, verbose=0, callbacks=[saving])


def test_what_is_trained_again_is_saved_once(tmp_path: Path) -> None:
    """A job that is killed behind a save, but before the next backup."""

    class PowerCut(Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 3:
                raise OSError("power cut")

    def train(*more: Callback) -> list[int]:
        saving = ModelCheckpoint(tmp_path / "kept", retention=Retention(last=3))
        backup = BackupAndRestore(tmp_path / "backup", save_freq=2, background=False)
        model = regression(Communicator.alone())
        model.fit(*line(), epochs=4, verbose=0, callbacks=[saving, backup, *more])
        return [load(path).state["epoch"] for path in Store(tmp_path / "kept").paths()]

    with pytest.raises(OSError, match="power cut"):
        train(PowerCut())
    assert train() == [4, 3, 2]
