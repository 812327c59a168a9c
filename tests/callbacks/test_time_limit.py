"""When training ends for want of time. The clock is the test's: nobody waits."""

import datetime as dt
import time
from typing import Any

import pytest
from support.small import line, regression

from distfit.callbacks import Callback, TimeLimit
from distfit.comm import Communicator


class Clock:
    """A clock that batches and epochs move.

    Args:
        batch_s: seconds that each batch takes.
        epoch_end_s: seconds that the end of each epoch takes.
    """

    def __init__(self, batch_s: float = 0.0, epoch_end_s: float = 0.0) -> None:
        self.now = 1000.0
        self.batch_s = batch_s
        self.epoch_end_s = epoch_end_s

    def __call__(self) -> float:
        return self.now


class Work(Callback):
    """Takes time, and notes the batches."""

    ranks = "root"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.batches: list[str] = []
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.clock.now += self.clock.batch_s
        self.batches.append(f"{self._epoch}.{batch}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.clock.now += self.clock.epoch_end_s


@pytest.fixture(autouse=True)
def no_batch_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_START_TIME", raising=False)
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    monkeypatch.delenv("DISTFIT_BEGAN", raising=False)
    monkeypatch.setattr("distfit.callbacks.time_limit._PROGRAM_BEGAN", time.monotonic())


def batches(clock: Clock, limit: Any, **options: Any) -> list[str]:
    """Train 5 epochs of three batches with a limit; return ``epoch.batch`` of those that were trained."""
    work = Work(clock)
    time_limit = TimeLimit(limit, **{"grace": 0.5, "clock": clock, **options})
    regression(Communicator.alone()).fit(
        *line(), batch_size=4, epochs=5, verbose=0, callbacks=[work, time_limit]
    )
    return work.batches


# Limits end on half seconds, so that the few milliseconds which the test itself takes do not matter.
@pytest.mark.parametrize(
    ("limit", "last"),
    [
        (1000, "4.2"),  # enough
        (70.9, "2.0"),  # after 7 batches 0.9 s are left: less than 10 and 0.5 s
        (81.0, "2.1"),  # after 7 of them 11 s are left: one more
        (1, "0.0"),  # too short from the start: one batch is trained
        (dt.timedelta(seconds=70.9), "2.0"),
        ("00:01:21", "2.1"),
    ],
)
def test_it_ends_before_the_batch_that_might_be_too_long(limit: Any, last: str) -> None:
    assert batches(Clock(10.0), limit)[-1] == last


def test_the_grace_is_left() -> None:
    assert batches(Clock(10.0), 81, grace=30)[-1] == "1.1"
    assert batches(Clock(10.0), 81, grace="00:00:30")[-1] == "1.1"


def test_the_end_of_an_epoch_is_left_once_its_length_is_known() -> None:
    # 3 batches and the end: 80 s. After 4 batches 90 s have gone by, 61 are left, and a batch and the end need 60.5.
    assert batches(Clock(10.0, 50.0), 151)[-1] == "1.1"
    assert batches(Clock(10.0, 50.0), 150)[-1] == "1.0"


@pytest.mark.parametrize(("limit", "last"), [(100, "2.2"), (89, "1.2"), (1, "0.2")])
def test_by_epoch_it_ends_before_the_epoch_that_might_be_too_long(limit: float, last: str) -> None:
    assert batches(Clock(10.0), limit, check="epoch", grace=0)[-1] == last


def test_the_longest_epoch_so_far_counts() -> None:
    clock = Clock(10.0)

    class Slow(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            clock.batch_s = 1.0  # all but the first epoch are short, and yet 30 s are kept

    limit = TimeLimit(65, grace=0, check="epoch", clock=clock)
    model = regression(Communicator.alone())
    model.fit(*line(), batch_size=4, epochs=20, verbose=0, callbacks=[Work(clock), Slow(), limit])
    assert model.history.epoch == [0, 1, 2]  # 30, 33 and 36 s: 29 are left


def test_it_says_why_it_ends_and_remembers(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock(10.0)
    limit = TimeLimit(45.4, grace=5, clock=clock)
    model = regression(Communicator.alone())
    model.fit(*line(), batch_size=4, epochs=5, verbose=0, callbacks=[Work(clock), limit])
    told = "TimeLimit: 5 s are left, and going on may take 10 s, the rest 5 s: training ends\n"
    assert capsys.readouterr().out == told
    assert limit.is_over


def test_slurm_tells_when_the_job_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 75))
    assert batches(Clock(10.0), None)[-1] == "2.0"


@pytest.mark.parametrize("name", ["SLURM_JOB_START_TIME", "DISTFIT_BEGAN"])
def test_a_limit_counts_from_the_start_of_the_job_where_that_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(int(time.time()) - 25))
    assert batches(Clock(10.0), 100)[-1] == "2.0"


def test_and_else_from_that_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distfit.callbacks.time_limit._PROGRAM_BEGAN", time.monotonic() - 25)
    assert batches(Clock(10.0), 100.5)[-1] == "2.0"


def test_without_a_limit_and_without_slurm_it_cannot_know() -> None:
    with pytest.raises(ValueError, match=r"give a limit.*no SLURM_JOB_END_TIME"):
        batches(Clock(), None)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"limit": "soon"}, "Received: 'soon'"),
        ({"limit": -1}, "not negative"),
        ({"grace": "a bit"}, "Received: 'a bit'"),
        ({"limit": 1, "check": "step"}, "check is 'batch' or 'epoch'. Received: check='step'"),
    ],
)
def test_what_makes_no_sense_is_an_error_at_once(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        TimeLimit(**arguments)
