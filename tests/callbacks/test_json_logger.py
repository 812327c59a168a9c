"""What stands in the file, to the letter."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.scripted import play
from support.small import line, regression

from distfit.callbacks import JSONLogger
from distfit.comm import Communicator

nan, inf = float("nan"), float("inf")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "training.jsonl"


CASES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "numbers": (
        [{"loss": 0.5, "val_loss": 0.75}, {"loss": 0.25}],
        '{"epoch": 0, "loss": 0.5, "val_loss": 0.75}\n{"epoch": 1, "loss": 0.25}\n',
    ),
    "a key that appears later": (
        [{"loss": 0.5}, {"loss": 0.5, "learning_rate": 0.1}],
        '{"epoch": 0, "loss": 0.5}\n{"epoch": 1, "loss": 0.5, "learning_rate": 0.1}\n',
    ),
    "what is not finite": (
        [{"a": nan, "b": inf, "c": -inf, "d": [nan, 1.0], "e": np.float32("nan")}],
        '{"epoch": 0, "a": "NaN", "b": "Infinity", "c": "-Infinity", "d": ["NaN", 1.0], "e": "NaN"}\n',
    ),
    "NumPy": (
        [{"a": np.float32(0.5), "b": np.int64(3), "c": np.array(0.25), "d": np.array([[1, 2], [3, 4]])}],
        '{"epoch": 0, "a": 0.5, "b": 3, "c": 0.25, "d": [[1, 2], [3, 4]]}\n',
    ),
    "text and other things": (
        [{"note": 'a "b"\n', "none": None, "flag": True, "where": {"node": (1, 2)}, "path": Path("out")}],
        '{"epoch": 0, "note": "a \\"b\\"\\n", "none": null, "flag": true, "where": {"node": [1, 2]}, "path": "out"}\n',
    ),
    "a value called epoch does not hide the number": ([{"epoch": 7.5}], '{"epoch": 0}\n'),
    "nothing": ([{}], '{"epoch": 0}\n'),
}


@pytest.mark.parametrize(("epochs", "content"), CASES.values(), ids=CASES)
def test_content(path: Path, epochs: list[dict[str, Any]], content: str) -> None:
    play(JSONLogger(path), epochs)
    assert path.read_text() == content


def test_a_number_that_is_not_finite_comes_back() -> None:
    assert np.isnan(float("NaN"))
    assert (float("Infinity"), float("-Infinity")) == (inf, -inf)


def test_a_second_fit_begins_the_file_again_or_continues_it(path: Path) -> None:
    lines = JSONLogger(path)
    for loss in (0.5, 0.25):
        play(lines, [{"loss": loss}])
    assert path.read_text() == '{"epoch": 0, "loss": 0.25}\n'
    play(JSONLogger(path, append=True), [{"loss": 0.125}])
    assert path.read_text() == '{"epoch": 0, "loss": 0.25}\n{"epoch": 0, "loss": 0.125}\n'


def test_each_line_is_there_when_its_epoch_has_ended(path: Path) -> None:
    lines = JSONLogger(path)
    lines.on_train_begin()
    assert path.read_text() == ""
    lines.on_epoch_end(0, {"loss": 0.5})
    assert path.read_text() == '{"epoch": 0, "loss": 0.5}\n'


def test_a_missing_folder_is_an_error_before_the_first_epoch(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        JSONLogger(tmp_path / "none" / "training.jsonl").on_train_begin()


def test_a_training_writes_the_values_of_its_history(path: Path) -> None:
    model = regression(Communicator.alone())
    history = model.fit(
        *line(), epochs=2, batch_size=4, verbose=0, validation_split=0.2, callbacks=JSONLogger(path)
    )
    assert [json.loads(text) for text in path.read_text().splitlines()] == [
        {"epoch": epoch, **{key: values[epoch] for key, values in history.history.items()}}
        for epoch in range(2)
    ]
