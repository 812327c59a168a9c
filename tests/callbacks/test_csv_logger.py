"""What stands in the file, to the letter."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.scripted import play
from support.small import line, regression

from distfit.callbacks import CSVLogger
from distfit.comm import Communicator


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "training.csv"


CASES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "sorted, with validation": (
        [{"val_loss": 0.75, "loss": 0.5, "mae": 0.25}, {"loss": 0.25, "mae": 0.125, "val_loss": 0.5}],
        "epoch,loss,mae,val_loss\n0,0.5,0.25,0.75\n1,0.25,0.125,0.5\n",
    ),
    "no validation": ([{"mae": 1.0, "loss": 0.5}], "epoch,loss,mae,val_loss,val_mae\n0,0.5,1.0,NA,NA\n"),
    "validation from the second epoch on": (
        [{"loss": 0.5}, {"loss": 0.25, "val_loss": 0.5}],
        "epoch,loss,val_loss\n0,0.5,NA\n1,0.25,0.5\n",
    ),
    "a key that appears later, and one that goes": (
        [{"loss": 0.5, "val_loss": 1.0}, {"learning_rate": 0.1, "val_loss": 0.5}],
        "epoch,loss,val_loss\n0,0.5,1.0\n1,NA,0.5\n",
    ),
    "arrays": (
        [{"loss": 0.5, "counts": np.array([1, 2]), "val_loss": [0.5, 0.25]}],
        'epoch,counts,loss,val_loss\n0,"[1, 2]",0.5,"[0.5, 0.25]"\n',
    ),
    "text": ([{"note": "slow, but well", "val_loss": 1.0}], 'epoch,note,val_loss\n0,"slow, but well",1.0\n'),
    "NumPy numbers": (
        [{"loss": np.float32(0.5), "val_loss": np.array(0.25)}],
        "epoch,loss,val_loss\n0,0.5,0.25\n",
    ),
    "nothing": ([{}, {}], "epoch\n0\n1\n"),
}


@pytest.mark.parametrize(("epochs", "content"), CASES.values(), ids=CASES)
def test_content(path: Path, epochs: list[dict[str, Any]], content: str) -> None:
    play(CSVLogger(path), epochs)
    assert path.read_text() == content


def test_separator(path: Path) -> None:
    play(CSVLogger(path, separator=";"), [{"loss": 0.5, "val_loss": 1.0}])
    assert path.read_text() == "epoch;loss;val_loss\n0;0.5;1.0\n"


def test_a_second_fit_begins_the_file_again(path: Path) -> None:
    rows = CSVLogger(path)
    play(rows, [{"loss": 0.5, "val_loss": 1.0}] * 2)
    play(rows, [{"mae": 0.25, "val_mae": 2.0}])
    assert path.read_text() == "epoch,mae,val_mae\n0,0.25,2.0\n"


@pytest.mark.parametrize("same_object", [True, False])
def test_append_continues_it_under_one_header(path: Path, same_object: bool) -> None:
    rows = CSVLogger(path, append=True)
    play(rows, [{"loss": 0.5, "val_loss": 1.0}])
    play(rows if same_object else CSVLogger(path, append=True), [{"loss": 0.25, "val_loss": 0.5}])
    assert path.read_text() == "epoch,loss,val_loss\n0,0.5,1.0\n0,0.25,0.5\n"


def test_append_to_an_empty_file_writes_the_header(path: Path) -> None:
    path.touch()
    play(CSVLogger(path, append=True), [{"loss": 0.5, "val_loss": 1.0}])
    assert path.read_text() == "epoch,loss,val_loss\n0,0.5,1.0\n"


def test_each_row_is_there_when_its_epoch_has_ended(path: Path) -> None:
    rows = CSVLogger(path)
    rows.on_train_begin()
    assert path.read_text() == ""
    rows.on_epoch_end(0, {"loss": 0.5, "val_loss": 1.0})
    assert path.read_text() == "epoch,loss,val_loss\n0,0.5,1.0\n"


def test_a_missing_folder_is_an_error_before_the_first_epoch(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        CSVLogger(tmp_path / "none" / "training.csv").on_train_begin()


def test_a_training_writes_the_values_of_its_history(path: Path) -> None:
    model = regression(Communicator.alone())
    history = model.fit(
        *line(), epochs=2, batch_size=4, verbose=0, validation_split=0.2, callbacks=CSVLogger(path)
    )
    header, *rows = path.read_text().splitlines()
    assert header == "epoch,loss,mae,val_loss,val_mae"
    for epoch, row in enumerate(rows):
        keys = header.split(",")[1:]
        assert [float(text) for text in row.split(",")] == [epoch, *(history.history[k][epoch] for k in keys)]
