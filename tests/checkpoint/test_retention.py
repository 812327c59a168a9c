"""What is kept is what the rules say, however often the rest was removed before."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distfit.checkpoint import Retention
from distfit.checkpoint.retention import Record, kept

LOGS = st.fixed_dictionaries(
    {}, optional={"loss": st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan, math.inf])}
)
HISTORIES = st.lists(st.tuples(st.integers(0, 2), LOGS), min_size=1, max_size=12)
RETENTIONS = st.builds(
    Retention,
    last=st.integers(1, 4),
    best=st.integers(0, 3),
    monitor=st.just("loss"),
    mode=st.sampled_from(["min", "max"]),
    every_epochs=st.none() | st.integers(1, 4),
)


def records(history: Sequence[tuple[int, dict[str, float]]]) -> list[Record]:
    """Number them from 1; each is some epochs further than the one before."""
    found, epoch = [], 0
    for number, (further, logs) in enumerate(history, start=1):
        epoch += further
        found.append(Record(number, epoch, logs))
    return found


def is_kept(record: Record, others: list[Record], retention: Retention) -> bool:
    """Say for one checkpoint, rule by rule, by counting those that stand in its way."""
    newer = [other for other in others if other.number > record.number]
    if len(newer) < retention.last:
        return True
    loss = record.logs.get("loss", math.nan)
    if not math.isnan(loss):
        better = 0
        for other in others:
            value = other.logs.get("loss", math.nan)
            if value == loss:
                better += other.number < record.number
            else:
                better += value < loss if retention.mode == "min" else value > loss
        if better < retention.best:
            return True
    if retention.every_epochs is None or record.epoch < retention.every_epochs:
        return False
    older = [other for other in others if other.number < record.number]
    block = record.epoch // retention.every_epochs
    return all(other.epoch // retention.every_epochs != block for other in older)


@given(history=HISTORIES, retention=RETENTIONS)
def test_the_rules_are_those_of_a_count_one_by_one(
    history: list[tuple[int, dict[str, float]]], retention: Retention
) -> None:
    found = records(history)
    assert kept(found, retention) == {record.number for record in found if is_kept(record, found, retention)}


@given(history=HISTORIES, retention=RETENTIONS)
def test_removing_after_each_leaves_what_removing_at_the_end_does(
    history: list[tuple[int, dict[str, float]]], retention: Retention
) -> None:
    left: list[Record] = []
    for record in records(history):
        numbers = kept([*left, record], retention)
        left = [one for one in [*left, record] if one.number in numbers]
    assert {record.number for record in left} == kept(records(history), retention)


@given(history=HISTORIES, retention=RETENTIONS)
def test_the_newest_is_always_kept(history: list[tuple[int, dict[str, float]]], retention: Retention) -> None:
    assert len(history) in kept(records(history), retention)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"last": 0}, "last is 1 or more: the newest checkpoint is always kept. Received: 0"),
        ({"best": -1}, "best is 0 or more. Received: -1"),
        ({"best": 2}, "best=2 needs the name of a metric. Give monitor='val_loss'"),
        ({"mode": "auto"}, "mode is 'min' or 'max'. Received: 'auto'"),
        ({"every_epochs": 0}, "every_epochs is 1 or more, or None. Received: 0"),
    ],
)
def test_rules_that_mean_nothing_are_errors(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - its text is compared below
        Retention(**arguments)  # type: ignore[arg-type]
    assert words in str(raised.value)
