"""Which checkpoints are kept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a checkpoint without reading its arrays.

    Attributes:
        number: in its series; a later one has a higher one.
        epoch: how many epochs were finished.
        logs: numbers by name.
    """

    number: int
    epoch: int = 0
    logs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retention:
    """Which checkpoints of a series are kept: those that any of its rules names.

    Args:
        last: how many of the newest; 1 or more.
        best: how many of the best by `monitor`. Of equal ones the older is better; one without the metric, or with
            NaN, is not among them.
        monitor: the metric's name, in ``state["logs"]``.
        mode: ``"min"`` or ``"max"``: whether the metric is better when it is lower or higher. A `ModelCheckpoint` knows
            it by the metric, if it is None.
        every_epochs: the first one written behind each so many epochs; None for none.

    Raises:
        ValueError: for numbers that mean nothing.

    Example:
        >>> from distfit.checkpoint import Retention
        >>> from distfit.checkpoint.retention import Record, kept
        >>> losses = [0.5, 0.3, 0.4, 0.6]
        >>> records = [Record(number, number, {"val_loss": loss}) for number, loss in enumerate(losses, start=1)]
        >>> sorted(kept(records, Retention(last=1, best=2, monitor="val_loss", mode="min")))
        [2, 3, 4]
    """

    last: int = 1
    best: int = 0
    monitor: str | None = None
    mode: Literal["min", "max"] | None = None
    every_epochs: int | None = None

    def __post_init__(self) -> None:
        if self.last < 1:
            raise ValueError(
                f"last is 1 or more: the newest checkpoint is always kept. Received: {self.last}"
            )
        if self.best < 0:
            raise ValueError(f"best is 0 or more. Received: {self.best}")
        if self.best and self.monitor is None:
            raise ValueError(
                f"best={self.best} needs the name of a metric. Give monitor='val_loss', or another one"
            )
        if self.mode not in ("min", "max", None):
            raise ValueError(f"mode is 'min' or 'max'. Received: {self.mode!r}")
        if self.every_epochs is not None and self.every_epochs < 1:
            raise ValueError(f"every_epochs is 1 or more, or None. Received: {self.every_epochs}")

    def check(self) -> None:
        """Raise if it is not said what is better.

        Raises:
            ValueError: naming the metric.
        """
        if self.best and self.mode is None:
            raise ValueError(
                f"is {self.monitor!r} better when it is lower, or when it is higher? Give Retention a mode='min' or"
                " mode='max'"
            )


def kept(records: Sequence[Record], retention: Retention) -> set[int]:
    """Return the numbers of the checkpoints that are kept.

    Removing the others after each new checkpoint leaves what removing them once at the end would.

    Args:
        records: of all that there are, in any order.
        retention: the rules.

    Ranks: local.
    """
    by_number = sorted(records, key=lambda record: record.number)
    numbers = {record.number for record in by_number[-retention.last :]}
    if retention.best:
        numbers |= {record.number for record in ranked(by_number, retention)[: retention.best]}
    if retention.every_epochs is not None:
        first: dict[int, int] = {}
        for record in by_number:
            first.setdefault(record.epoch // retention.every_epochs, record.number)
        first.pop(0, None)
        numbers |= set(first.values())
    return numbers


def ranked(records: Sequence[Record], retention: Retention) -> list[Record]:
    """Return those that have the metric, the best first; of equal ones the older.

    Raises:
        ValueError: if the retention does not say what is better.

    Ranks: local.
    """
    retention.check()
    sign = 1 if retention.mode == "min" else -1
    values = {
        record.number: sign * float(record.logs.get(retention.monitor or "", math.nan)) for record in records
    }
    known = [record for record in records if not math.isnan(values[record.number])]
    return sorted(known, key=lambda record: (values[record.number], record.number))
