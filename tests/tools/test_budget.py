"""What bounds a stage's time, and adds the times up."""

import sys
import time
from pathlib import Path

import budget
import pytest


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(budget, "NOTES", tmp_path / "out" / "budget.tsv")
    monkeypatch.setattr(budget, "BUDGET_S", {"set-up": 100, "tests": 0.3})
    monkeypatch.setattr(budget.signal, "signal", lambda *_: None)
    return budget.NOTES


def test_a_command_keeps_its_exit_status(notes: Path) -> None:
    assert budget.run("set-up", [sys.executable, "-S", "-c", "raise SystemExit(7)"]) == 7
    stage, seconds = notes.read_text().split("\t")
    assert stage == "set-up"
    assert 0 <= float(seconds) < 10


def test_a_command_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path, capsys) -> None:
    late = tmp_path / "late"
    began = time.monotonic()
    status = budget.run("tests", ["sh", "-c", f"(sleep 1; touch {late}) & wait"])
    assert status == budget.EXIT_TIMEOUT
    assert "tests is over its 0.3 s" in capsys.readouterr().err
    time.sleep(max(0.0, began + 1.3 - time.monotonic()))
    assert not late.exists()


@pytest.mark.parametrize(("seconds", "over"), [("0.1", False), ("0.2", True)])
def test_report_adds_up(seconds: str, over: bool, notes: Path, capsys) -> None:
    notes.parent.mkdir()
    notes.write_text(f"set-up\t12.4\ntests\t0.1\ntests\t0.05\ntests\t{seconds}\n")
    assert budget.report() == over
    table = capsys.readouterr().out
    assert ("OVER" in table) == over
    assert [line.split()[-5:-1] for line in table.splitlines() if "set-up" in line] == [
        ["set-up", "12", "s", "100"]
    ]
