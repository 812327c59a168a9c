"""Spans of time, as people and batch systems write them."""

from __future__ import annotations

import datetime as dt
import re

Duration = float | dt.timedelta | str

_TEXT = re.compile(r"(?:(?P<days>\d+)-)?(?P<clock>\d+(?::\d+){0,2})")


def in_seconds(value: Duration) -> float:
    """Return a span of time in seconds.

    Args:
        value: seconds, a `datetime.timedelta`, or text as Slurm takes it for ``--time``: ``"MM"``, ``"MM:SS"``,
            ``"HH:MM:SS"``, ``"D-HH"``, ``"D-HH:MM"`` or ``"D-HH:MM:SS"``.

    Raises:
        ValueError: for other text, or a negative number.

    Example:
        >>> in_seconds(90), in_seconds("01:30:00"), in_seconds("1-12")
        (90.0, 5400.0, 129600.0)

    Ranks: local.
    """
    if isinstance(value, dt.timedelta):
        return _checked(value.total_seconds())
    if isinstance(value, str):
        return _read(value)
    return _checked(float(value))


def _checked(seconds: float) -> float:
    if not seconds >= 0:
        raise ValueError(f"a span of time is not negative. Received: {seconds} seconds")
    return seconds


def _read(text: str) -> float:
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"a time is written as 'HH:MM:SS', 'D-HH:MM:SS', 'MM:SS' or 'MM', as for Slurm. Received: {text!r}"
        )
    parts = [int(part) for part in match["clock"].split(":")]
    if match["days"] is not None:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, (minutes, seconds) = 0, [*parts, 0][:2]
    return float(((int(match["days"] or 0) * 24 + hours) * 60 + minutes) * 60 + seconds)
