"""Spans of time as they may be written. What text means is Slurm's word, in the manual of sbatch, at ``--time``."""

import datetime as dt
from typing import Any

import pytest

from distfit.utils.duration import in_seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90.0),
        (0.5, 0.5),
        (dt.timedelta(hours=1, seconds=1), 3601.0),
        ("30", 1800.0),
        ("02:30", 150.0),
        ("01:00:05", 3605.0),
        ("100:00:00", 360_000.0),
        ("1-0", 86_400.0),
        ("1-06:30", 109_800.0),
        ("2-00:00:01", 172_801.0),
        (" 01:00:00 ", 3600.0),
    ],
)
def test_it_is_so_many_seconds(value: Any, seconds: float) -> None:
    assert in_seconds(value) == seconds


@pytest.mark.parametrize("value", ["", "1h", "1:2:3:4", "-1", "1-", "01:00:", "1.5", "infinite"])
def test_other_text_is_an_error(value: str) -> None:
    with pytest.raises(ValueError, match=r"'HH:MM:SS', 'D-HH:MM:SS'.*Received: "):
        in_seconds(value)


@pytest.mark.parametrize("value", [-1, float("nan"), dt.timedelta(seconds=-1)])
def test_a_negative_one_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError, match="not negative"):
        in_seconds(value)
