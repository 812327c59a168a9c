"""What TensorBoard's own reader finds in the files.

The tags and steps are those of Keras 3.15.1 for the same training: its callback was run with a `tensorflow.summary`
that noted what it was told. Keras does not write epochs whose last batch `update_freq` skips, and counts calls of hooks
where `steps_per_execution` joins batches; there distfit differs. Histograms and images have the model's name in front
in Keras.
"""

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.small import line, regression
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from distfit.callbacks import LambdaCallback, TensorBoard
from distfit.comm import Communicator

X, Y = line(10)


def fit(folder: Path, *, steps_per_execution: int = 1, epochs: int = 2, **options: Any) -> Any:
    model = regression(Communicator.alone(), steps_per_execution=steps_per_execution)
    board = TensorBoard(folder, **options)
    model.fit(X, Y, batch_size=4, epochs=epochs, verbose=0, validation_data=(X, Y), callbacks=[board])
    return model


def read(folder: Path) -> EventAccumulator:
    """Return what is in all files of a folder."""
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "histograms": 0})
    reader.Reload()
    return reader


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return steps and values by tag."""
    reader = read(folder)
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]
    }


def steps(folder: Path) -> dict[str, list[int]]:
    return {tag: [step for step, _ in values] for tag, values in scalars(folder).items()}


EPOCHS = {"epoch_loss": [0, 1], "epoch_mae": [0, 1], "epoch_learning_rate": [0, 1]}
VALIDATION = {
    "epoch_loss": [0, 1],
    "epoch_mae": [0, 1],
    "evaluation_loss_vs_iterations": [3, 6],
    "evaluation_mae_vs_iterations": [3, 6],
}
ALL_BATCHES = [1, 2, 3, 4, 5, 6]

CASES: dict[str, tuple[dict[str, Any], dict[str, list[int]]]] = {
    "epochs": ({}, EPOCHS),
    "each batch, and speed": (
        {"update_freq": "batch", "write_steps_per_second": True},
        EPOCHS
        | {"epoch_steps_per_second": [0, 1]}
        | {f"batch_{name}": ALL_BATCHES for name in ("loss", "mae", "steps_per_second")},
    ),
    "1 is each batch": ({"update_freq": 1}, EPOCHS | {"batch_loss": ALL_BATCHES, "batch_mae": ALL_BATCHES}),
    "each second batch": ({"update_freq": 2}, EPOCHS | {"batch_loss": [2, 4, 6], "batch_mae": [2, 4, 6]}),
    "speed of epochs": ({"write_steps_per_second": True}, EPOCHS | {"epoch_steps_per_second": [0, 1]}),
    "several batches at a time": (
        {"update_freq": 2, "steps_per_execution": 2},
        EPOCHS | {"batch_loss": [2, 5, 6], "batch_mae": [2, 5, 6]},
    ),
}


@pytest.mark.parametrize(("options", "expected"), CASES.values(), ids=CASES)
def test_tags_and_steps(tmp_path: Path, options: dict[str, Any], expected: dict[str, list[int]]) -> None:
    fit(tmp_path, **options)
    assert steps(tmp_path / "train") == expected
    assert steps(tmp_path / "validation") == VALIDATION
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train", "validation"]


def test_the_values_are_those_of_the_history(tmp_path: Path) -> None:
    history = fit(tmp_path, update_freq="batch").history.history
    train, validation = scalars(tmp_path / "train"), scalars(tmp_path / "validation")
    for name in ("loss", "mae"):
        for written, key in ((train[f"epoch_{name}"], name), (validation[f"epoch_{name}"], f"val_{name}")):
            assert [value for _, value in written] == pytest.approx(history[key])
        evaluated = validation[f"evaluation_{name}_vs_iterations"]
        assert [value for _, value in evaluated] == pytest.approx(history[f"val_{name}"])
        last_of_each = [value for step, value in train[f"batch_{name}"] if step in (3, 6)]
        assert last_of_each == pytest.approx(history[name])
    assert [value for _, value in train["epoch_learning_rate"]] == pytest.approx([0.01, 0.01])


def test_steps_per_second_are_those_of_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By this clock, which shows one more second at each look, an epoch of 3 batches takes 1 second."""
    now = iter(range(1000))
    clock = SimpleNamespace(perf_counter=lambda: float(next(now)))  # and that of nobody else
    monkeypatch.setattr("distfit.callbacks.tensorboard.time", clock)
    fit(tmp_path, write_steps_per_second=True, epochs=1)
    assert scalars(tmp_path / "train")["epoch_steps_per_second"] == [(0, 3.0)]


def test_keys_that_callbacks_add_are_written_and_text_is_not(tmp_path: Path) -> None:
    def add(epoch: int, logs: dict[str, Any]) -> None:
        logs.update(speed=2.0, note="slow")

    model = regression(Communicator.alone())
    model.fit(X, Y, verbose=0, callbacks=[LambdaCallback(on_epoch_end=add), TensorBoard(tmp_path)])
    assert scalars(tmp_path / "train")["epoch_speed"] == [(0, 2.0)]
    assert "epoch_note" not in scalars(tmp_path / "train")


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    def add(epoch: int, logs: dict[str, Any]) -> None:
        logs.update(a=float("nan"), b=float("inf"))

    model = regression(Communicator.alone())
    model.fit(X, Y, verbose=0, callbacks=[LambdaCallback(on_epoch_end=add), TensorBoard(tmp_path)])
    written = scalars(tmp_path / "train")
    assert np.isnan(written["epoch_a"][0][1])
    assert written["epoch_b"][0][1] == float("inf")


def test_histograms_of_weights_after_some_epochs(tmp_path: Path) -> None:
    model = fit(tmp_path, histogram_freq=2, epochs=3)
    reader = read(tmp_path / "train")
    names = ("dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias")
    assert reader.Tags()["histograms"] == [f"{name}/histogram" for name in names]
    assert reader.Tags()["images"] == []
    for name, weight in zip(names, model.get_weights(), strict=True):
        first, last = reader.Histograms(f"{name}/histogram")
        assert (first.step, last.step) == (0, 2)
        found = last.histogram_value
        assert (found.num, found.min, found.max) == (weight.size, weight.min(), weight.max())
        assert found.sum == pytest.approx(weight.sum(dtype=np.float64))
        assert sum(found.bucket) == weight.size


def test_images_of_weights(tmp_path: Path) -> None:
    """The bias of one output is a single number, of which Keras makes no image either."""
    fit(tmp_path, histogram_freq=1, write_images=True, epochs=1)
    reader = read(tmp_path / "train")
    sizes = {
        tag: (image.height, image.width) for tag in reader.Tags()["images"] for image in reader.Images(tag)
    }
    assert sizes == {"dense/kernel/image": (2, 4), "dense/bias/image": (4, 1), "dense_1/kernel/image": (4, 1)}


def test_weights_that_are_not_finite_end_no_training(tmp_path: Path) -> None:
    model = regression(Communicator.alone())
    kernel, *others = model.get_weights()
    kernel[0, 0] = float("nan")

    def spoil(epoch: int, logs: Any) -> None:
        model.set_weights([kernel, *[np.full_like(weight, np.inf) for weight in others]])

    board = TensorBoard(tmp_path, histogram_freq=1, write_images=True)
    model.fit(X, Y, verbose=0, callbacks=[LambdaCallback(on_epoch_end=spoil), board])
    reader = read(tmp_path / "train")
    assert reader.Tags()["histograms"] == ["dense/kernel/histogram"]
    assert reader.Histograms("dense/kernel/histogram")[0].histogram_value.num == 7


@pytest.mark.parametrize("write_graph", [True, False])
def test_the_layers_are_written_once_as_a_table(tmp_path: Path, write_graph: bool) -> None:
    fit(tmp_path, write_graph=write_graph)
    reader = read(tmp_path / "train")
    assert reader.Tags()["tensors"] == ["model/text_summary"] * write_graph
    for tag in reader.Tags()["tensors"]:
        (event,) = reader.Tensors(tag)
        assert re.search(r"dense_1 \(Dense\) +\(batch, 1\) +5", event.tensor_proto.string_val[0].decode())


def test_two_fits_are_two_files(tmp_path: Path) -> None:
    board, model = TensorBoard(tmp_path), regression(Communicator.alone())
    for _ in range(2):
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[board])
    assert len(list((tmp_path / "train").iterdir())) == 2
    assert steps(tmp_path / "train")["epoch_loss"] == [0, 1, 0, 1]


def test_an_evaluation_alone(tmp_path: Path) -> None:
    model = regression(Communicator.alone())
    loss, mae = model.evaluate(X, Y, verbose=0, callbacks=[TensorBoard(tmp_path)])
    assert scalars(tmp_path / "validation") == {
        "evaluation_loss_vs_iterations": [(0, pytest.approx(loss))],
        "evaluation_mae_vs_iterations": [(0, pytest.approx(mae))],
    }
    assert not (tmp_path / "train").exists()


def test_values_are_there_when_their_epoch_has_ended_and_nothing_stays_open(tmp_path: Path) -> None:
    def fail(epoch: int, logs: Any) -> None:
        raise OSError("disk full")

    model = regression(Communicator.alone())
    with pytest.raises(OSError, match="disk full"):
        model.fit(X, Y, verbose=0, callbacks=[TensorBoard(tmp_path), LambdaCallback(on_epoch_end=fail)])
    assert steps(tmp_path / "train")["epoch_loss"] == [0]


@pytest.mark.parametrize(
    ("options", "has_hook"),
    [
        ({}, False),
        ({"write_steps_per_second": True}, False),
        ({"update_freq": "batch"}, True),
        ({"update_freq": 9}, True),
    ],
)
def test_a_batch_hook_only_where_batches_are_written(
    tmp_path: Path, options: dict[str, Any], has_hook: bool
) -> None:
    assert ("on_train_batch_end" in vars(TensorBoard(tmp_path, **options))) == has_hook


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"profile_batch": (10, 20)}, r"profile_batch is 0.*Received: \(10, 20\)"),
        ({"embeddings_freq": 1}, "embeddings_freq is 0.*Received: 1 and None"),
        ({"embeddings_metadata": "m.tsv"}, "embeddings_freq is 0.*Received: 0 and 'm.tsv'"),
        ({"update_freq": 0}, r"update_freq is 'epoch', 'batch' or a number of batches\. Received: 0"),
        ({"update_freq": True}, "Received: True"),
        ({"update_freq": "step"}, "Received: 'step'"),
    ],
)
def test_what_cannot_be_done_is_an_error_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TensorBoard(**options)


def test_without_tensorboardx_it_is_said_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pip install 'distfit-mpi\[tensorboard\]'"):
        fit(tmp_path)
