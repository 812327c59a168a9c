"""What is told of checkpoints on the command line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from distfit.checkpoint import Checkpoint, Retention, Store
from distfit.cli import main

STATE = {
    "epoch": 4,
    "batch": 16,
    "step": 1216,
    "seed": 42,
    "logs": {"loss": np.float32(0.03125), "val_loss": 0.5},
    "callbacks": {"EarlyStopping": {"best_weights": [np.zeros(3)]}, "CSVLogger": {"bytes": 10}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two checkpoints of a training."""
    store = Store(tmp_path / "run")
    weights = {"dense/kernel": np.zeros((784, 128), np.float32), "dense/bias": np.zeros(128, np.float32)}
    store.save(Checkpoint(weights, {}, {"epoch": 1, "step": 304}))
    store.save(Checkpoint(weights, {"m": np.zeros((), np.float64)}, STATE), Retention(last=2))
    return store.folder


def lines(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [line.split() for line in capsys.readouterr().out.splitlines() if line]


def test_show_tells_what_it_holds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoint", "show", str(folder / "checkpoint-000002")]) == 0
    told = capsys.readouterr().out
    for line in (
        "  training   4 epochs finished, and 16 batches of the next\n",
        "  step       1,216\n",
        "  seed       42\n",
        "  logs       loss 0.03125, val_loss 0.5\n",
        "  callbacks  EarlyStopping, CSVLogger\n",
        "  weights    2 arrays, 401.9 kB\n",
        "    dense/kernel                            (784, 128)  float32   401.4 kB\n",
        "    dense/bias                              (128,)      float32  512 bytes\n",
        "  optimizer  1 array, 8 bytes\n",
        "    m                                       ()          float64    8 bytes\n",
        "  state      1 array, 24 bytes\n",
        "    callbacks/EarlyStopping/best_weights/0  (3,)        float64   24 bytes\n",
    ):
        assert line in told
    assert " UTC by distfit " in told


def test_show_tells_of_the_newest_in_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoint", "show", str(folder)]) == 0
    assert capsys.readouterr().out.startswith(f"{folder / 'checkpoint-000002'}\n")


def test_show_tells_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Store(tmp_path).save(Checkpoint())
    assert main(["checkpoint", "show", str(tmp_path)]) == 0
    assert [line[0] for line in lines(capsys)][1:] == ["written", "weights", "optimizer", "state"]


def test_verify_says_that_all_is_well(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoint", "verify", str(folder)]) == 0
    assert [line[1] for line in lines(capsys)] == ["whole,", "whole,"]


def test_verify_says_what_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "checkpoint-000001" / "optimizer.safetensors").unlink()
    (folder / "checkpoint-000001" / "state.json").write_text("{}")
    assert main(["checkpoint", "verify", str(folder)]) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"{folder / 'checkpoint-000001'}  damaged",
        "  optimizer.safetensors is missing",
        "  state.json is not as it was written: another SHA-256 than in SHA256SUMS",
    ]
    assert main(["checkpoint", "verify", str(folder / "checkpoint-000002")]) == 0


def test_list_has_the_newest_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "checkpoint-000001" / "state.json").write_text("{}")
    (folder / "notes").touch()
    assert main(["checkpoint", "list", str(folder)]) == 0
    head, second, first = lines(capsys)
    assert head == ["number", "epoch", "step", "size", "written"]
    assert second[:3] + second[-1:] == ["2", "4", "1,216", "whole"]
    assert first[:3] == ["1", "?", "?"]
    assert "damaged: state.json is not as it was written" in " ".join(first)


def test_a_damaged_one_cannot_be_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "checkpoint-000002" / "SHA256SUMS").unlink()
    assert main(["checkpoint", "show", str(folder)]) == 1
    assert capsys.readouterr().err == (
        f"the checkpoint {folder / 'checkpoint-000002'} is damaged: SHA256SUMS is missing\n"
    )


@pytest.mark.parametrize("command", ["show", "verify", "list"])
def test_where_there_is_none_that_is_said(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        assert main(["checkpoint", command, str(path)]) == 2
        assert capsys.readouterr().err == f"there is no checkpoint: {path}\n"


def test_it_starts_no_mpi(folder: Path) -> None:
    program = (
        "import sys; from distfit.cli import main; status = main(sys.argv[1:]);"
        "print('mpi4py.MPI' in sys.modules); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "checkpoint", "verify", str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "False"
