"""Built-in callbacks at several ranks: root alone writes, all ranks decide alike, and an error is everybody's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit import RemoteError, metrics
from distfit.callbacks import (
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    ProgbarLogger,
)
from distfit.checkpoint import atomic, read_arrays
from distfit.comm import Communicator


@pytest.fixture
def folder(comm: Communicator | None, tmp_path: Path) -> Path | None:
    """One folder for all ranks: root's."""
    return None if comm is None else comm.broadcast_object(tmp_path)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that this rank wrote."""
    names: list[str] = []
    write, opened = atomic.write_atomically, Path.open

    def note(path: Any, action: Any) -> None:
        names.append(Path(path).name)
        write(path, action)

    def note_open(path: Path, mode: str = "r", **options: Any) -> Any:
        if mode in ("a", "w"):
            names.append(path.name)
        return opened(path, mode, **options)

    monkeypatch.setattr("distfit.checkpoint.arrays.write_atomically", note)
    monkeypatch.setattr(Path, "open", note_open)
    return names


def fit(comm: Communicator, listed: list[Any], **options: Any) -> Any:
    model = regression(comm)
    defaults = {"batch_size": 4, "epochs": 3, "verbose": 0, "validation_split": 0.3}
    model.fit(*line(), callbacks=listed, **{**defaults, **options})
    return model


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("{epoch}.weights.safetensors", {}),
        ("{epoch}.weights.npz", {"save_freq": 2}),
        ("{epoch}-{batch}.weights.npz", {"save_freq": 1, "save_best_only": True, "monitor": "loss"}),
    ],
)
def test_the_files_are_those_of_one_rank(
    comm: Communicator, folder: Path, name: str, options: dict[str, Any]
) -> None:
    fit(comm, [ModelCheckpoint(folder / "ranks" / name, **options)])
    fit(Communicator.alone(), [ModelCheckpoint(folder / f"alone-{comm.rank}" / name, **options)])
    comm.barrier()
    expected = {path.name: path for path in (folder / f"alone-{comm.rank}").iterdir()}
    assert {path.name for path in (folder / "ranks").iterdir()} == set(expected)
    assert expected
    for file, path in expected.items():
        here, alone = read_arrays(folder / "ranks" / file)[0], read_arrays(path)[0]
        assert here.keys() == alone.keys()
        for key, array in alone.items():
            np.testing.assert_allclose(here[key], array, rtol=0, atol=1e-6)
    comm.barrier()


def test_root_alone_writes(comm: Communicator, folder: Path, written: list[str]) -> None:
    fit(comm, [ModelCheckpoint(folder / "{epoch}.safetensors"), CSVLogger(folder / "training.csv")], epochs=2)
    assert set(written) == ({"1.safetensors", "2.safetensors", "training.csv"} if comm.is_root else set())
    comm.barrier()
    assert sorted(path.name for path in folder.iterdir()) == [
        "1.safetensors",
        "2.safetensors",
        "training.csv",
    ]
    comm.barrier()


def test_a_csv_file_has_a_row_for_each_epoch_with_the_values_of_the_history(
    comm: Communicator, folder: Path
) -> None:
    model = fit(comm, [CSVLogger(folder / "training.csv")])
    header, *rows = (folder / "training.csv").read_text().splitlines()
    assert header == "epoch,loss,mae,val_loss,val_mae"
    history = model.history.history
    assert [list(map(float, row.split(","))) for row in rows] == [
        [epoch, *(history[key][epoch] for key in header.split(",")[1:])] for epoch in range(3)
    ]
    comm.barrier()


class Sees(Callback):
    def __init__(self) -> None:
        self.epochs = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs += 1


@pytest.mark.parametrize("kind", ["checkpoint", "best checkpoint", "checkpoint of batches", "csv"])
def test_a_file_that_cannot_be_written_is_the_same_error_on_all_ranks(
    comm: Communicator, folder: Path, kind: str
) -> None:
    target = folder / "taken.safetensors"
    target.mkdir(exist_ok=True)
    made = {
        "checkpoint": lambda: ModelCheckpoint(target),
        "best checkpoint": lambda: ModelCheckpoint(target, save_best_only=True),
        "checkpoint of batches": lambda: ModelCheckpoint(target, save_freq=2),
        "csv": lambda: CSVLogger(target),
    }
    comm.barrier()
    behind = Sees()
    with pytest.raises(IsADirectoryError) as caught:
        fit(comm, [made[kind](), behind])
    assert isinstance(caught.value, RemoteError) == (not comm.is_root)
    assert behind.epochs == 0
    assert fit(comm, []).history.epoch == [0, 1, 2]  # and the ranks can train on
    assert list(target.iterdir()) == []
    assert [path.name for path in folder.iterdir()] == ["taken.safetensors"]  # nothing unfinished is left
    comm.barrier()


def test_a_field_that_is_missing_is_the_same_error_on_all_ranks(comm: Communicator, folder: Path) -> None:
    with pytest.raises(KeyError, match=r"'val_f1'.*epoch, loss, mae, val_loss, val_mae"):
        fit(comm, [ModelCheckpoint(folder / "{val_f1}.safetensors")])


def test_a_warning_that_is_an_error_is_one_on_all_ranks(comm: Communicator, folder: Path) -> None:
    saving = ModelCheckpoint(folder / "m.safetensors", save_best_only=True)
    with pytest.raises(UserWarning, match="'val_loss' is not among the logs"):
        fit(comm, [saving], validation_split=0.0)


def test_early_stopping_is_that_of_one_rank(comm: Communicator) -> None:
    def stopped(group: Communicator) -> tuple[EarlyStopping, Any]:
        stopping = EarlyStopping("val_mae", patience=2, min_delta=0.04, restore_best_weights=True)
        return stopping, fit(group, [stopping], epochs=30)

    stopping, model = stopped(comm)
    expected, lone = stopped(Communicator.alone())
    assert 2 < stopping.stopped_epoch < 29
    assert stopping.best_epoch == stopping.stopped_epoch - 2
    for name in ("stopped_epoch", "best_epoch", "wait"):
        assert comm.all_gather_object(getattr(stopping, name)) == [getattr(expected, name)] * comm.size
    assert model.history.history.keys() == lone.history.history.keys()
    for key, values in lone.history.history.items():
        np.testing.assert_allclose(model.history.history[key], values, rtol=1e-4, err_msg=key)
    for weight, other in zip(model.get_weights(), lone.get_weights(), strict=True):
        np.testing.assert_allclose(weight, other, rtol=0, atol=1e-5)
    assert all(others == model.history.history for others in comm.all_gather_object(model.history.history))


def test_root_s_wish_to_stop_restores_the_best_weights_on_all_ranks(comm: Communicator) -> None:
    model = regression(comm)

    def stop(epoch: int, logs: Any) -> None:
        model.stop_training = epoch == 1

    stopping = EarlyStopping("loss", patience=50, restore_best_weights=True)
    model.fit(
        *line(), batch_size=4, epochs=9, verbose=0,
        callbacks=[LambdaCallback(on_epoch_end=stop, ranks="root"), stopping],
    )  # fmt: skip
    assert model.history.epoch == [0, 1]
    for weights in comm.all_gather_object(model.get_weights()):
        for weight, best in zip(weights, stopping.best_weights or [], strict=True):
            np.testing.assert_array_equal(weight, best)


@pytest.mark.parametrize(
    ("hook", "ranks"),
    [
        ("on_epoch_begin", "all"),
        ("on_train_batch_end", "all"),
        ("on_train_batch_begin", "root"),
        ("on_epoch_end", "local_root"),
    ],
)
def test_a_learning_rate_that_is_drawn_by_chance_is_root_s(comm: Communicator, hook: str, ranks: Any) -> None:
    model, generator = regression(comm), np.random.default_rng(comm.rank)

    def draw(*args: Any) -> None:
        model.optimizer.learning_rate = generator.uniform(0.01, 0.02)

    model.fit(
        *line(), batch_size=4, epochs=2, verbose=0, callbacks=[LambdaCallback(**{hook: draw}, ranks=ranks)]
    )
    rates, weights = comm.all_gather_object(model.optimizer.learning_rate), model.get_weights()
    if comm.is_root:  # drawn as often as the hook ran
        again = np.random.default_rng(0)
        assert rates[0] in [again.uniform(0.01, 0.02) for _ in range(6)]
    assert rates == [rates[0]] * comm.size
    for others in comm.all_gather_object(weights):
        for weight, other in zip(weights, others, strict=True):
            np.testing.assert_array_equal(weight, other)


def test_progress_is_shown_by_root(comm: Communicator, capsys: pytest.CaptureFixture[str]) -> None:
    fit(comm, [ProgbarLogger()], verbose=2, epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert [text.partition(" - ")[0] for text in lines] == (
        ["Epoch 1/2", "Epoch 2/2"] if comm.is_root else []
    )


def test_verbose_words_are_root_s(
    comm: Communicator, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saving = ModelCheckpoint(folder / "m.safetensors", verbose=1)
    fit(comm, [saving, EarlyStopping("mae", mode="max", verbose=1)], epochs=9)
    lines = capsys.readouterr().out.splitlines()
    told = [f"Epoch 1: saved {folder}/m.safetensors", f"Epoch 2: saved {folder}/m.safetensors"]
    assert lines == ([*told, "Epoch 2: early stopping"] if comm.is_root else [])


def test_metrics_in_the_logs_of_a_loop_of_ones_own_merge_over_ranks(comm: Communicator) -> None:
    """Ranks have 1, 2, 3 ... rows: a mean of means would be another number."""
    values: list[dict[str, Any]] = []
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: values.append(dict(logs)))
    rows = comm.rank + 1
    error = metrics.MeanSquaredError(name="mse")
    error.update_state(np.zeros((rows, 1)), np.full((rows, 1), float(rows)))
    hooks = CallbackList([note], model=regression(comm))
    hooks.on_epoch_end(0, {"mse": error})
    expected = sum(n * n**2 for n in range(1, comm.size + 1)) / sum(range(1, comm.size + 1))
    assert values == [{"mse": pytest.approx(expected)}]
