"""What watchdogs find out about ranks, look by look: several ranks of one process, and no clock."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from distfit.comm import Phase
from distfit.comm.board import Board
from distfit.comm.group_watch import NAP_S, GroupWatch, Report
from distfit.comm.patience import Patience
from distfit.comm.whereabouts import Whereabouts
from distfit.utils.activity import Activity

WARN_AFTER, TIMEOUT = 10.0, 40.0


class Rank:
    """A rank of a group, as its main thread and its watchdog would have it."""

    def __init__(self, number: int, board: Board, hosts: list[str], patience: Patience) -> None:
        self.group = SimpleNamespace(calls=0)
        self.activity = Activity()
        self.where = Whereabouts(f"train.py:{number}", in_debugger=False)
        self.watch = GroupWatch(number, hosts, board, patience)
        self.reports: list[Report] = []
        self.stopped = False

    def joins(self, name: str = "training") -> None:
        self.activity.about = Phase.STEP, 0, name
        self.activity.waits_for = self.group
        self.group.calls += 1

    def tick(self) -> None:
        if self.stopped:
            return
        report = self.watch.tick(self.group, self.activity, self.where, lambda: "  the stack\n")
        if report is not None:
            self.reports.append(report)


class Job:
    def __init__(self, ranks: int, warn_after: float = WARN_AFTER, timeout: float = TIMEOUT) -> None:
        hosts = [f"node{rank}" for rank in range(ranks)]
        board = Board(ranks)
        patience = Patience(warn_after, timeout)
        self.ranks = [Rank(rank, board, hosts, patience) for rank in range(ranks)]

    def pass_time(self, seconds: float, during: Callable[[], None] = lambda: None) -> None:
        for _ in range(int(seconds / NAP_S)):
            during()
            for rank in self.ranks:
                rank.tick()

    def texts(self, rank: int) -> list[str]:
        return [report.text for report in self.ranks[rank].reports]


@pytest.fixture
def job() -> Job:
    return Job(3)


def test_ranks_that_wait_name_the_one_that_is_late_and_what_it_does(job: Job) -> None:
    job.ranks[1].activity.doing = "reads a batch"
    job.ranks[0].activity.step = 12
    job.ranks[0].joins()
    job.ranks[2].joins()
    job.pass_time(WARN_AFTER - 1)
    assert job.texts(0) == job.texts(1) == job.texts(2) == []
    job.pass_time(TIMEOUT - WARN_AFTER)
    (text,) = job.texts(0)
    first, second = text.splitlines()
    assert (
        first
        == "distfit: rank 0 on node0 has waited for 10 s: it ends a step of training, at train.py:0 (step 12)"
    )
    assert second == "    rank 1 on node1, which reads a batch, at train.py:1; no further for 10 s"
    assert len(job.texts(2)) == 1


def test_a_late_rank_shows_its_stack(job: Job) -> None:
    job.ranks[1].activity.doing = "runs Slow.on_epoch_end"
    job.ranks[0].joins()
    job.ranks[2].joins()
    job.pass_time(TIMEOUT - 1)
    (text,) = job.texts(1)
    assert text == (
        "distfit: rank 0 on node0, rank 2 on node2 waited for 10 s for rank 1 on node1, which runs"
        " Slow.on_epoch_end, at train.py:1\n  the stack\n"
    )


def test_a_rank_that_is_busy_while_nobody_waits_says_nothing(job: Job) -> None:
    job.pass_time(10 * TIMEOUT)
    assert not any(rank.reports for rank in job.ranks)


def test_a_rank_that_is_at_work_keeps_nobody_waiting_without_reason(job: Job) -> None:
    def finish() -> None:
        job.ranks[0].activity.finished += 1

    job.ranks[1].joins()
    job.ranks[2].joins()
    job.pass_time(10 * TIMEOUT, during=finish)
    assert not any(rank.reports for rank in job.ranks)
    job.pass_time(WARN_AFTER + 1)  # and then it does not get on
    assert [len(rank.reports) for rank in job.ranks] == [1, 1, 1]


def test_of_two_late_ranks_the_one_that_is_not_at_work_counts(job: Job) -> None:
    def finish() -> None:
        job.ranks[0].activity.finished += 1

    job.ranks[2].joins()
    job.pass_time(WARN_AFTER + 1, during=finish)
    (text,) = job.texts(2)
    assert "rank 0 on node0, which is in code of its own, at train.py:0; no further for 0 s" in text
    assert "rank 1 on node1, which is in code of its own, at train.py:1; no further for 10 s" in text


def test_a_rank_that_was_stopped_is_named_though_it_had_joined(job: Job) -> None:
    for rank in job.ranks:
        rank.joins()
    job.pass_time(1)
    job.ranks[1].stopped = True
    job.pass_time(WARN_AFTER)
    (text,) = job.texts(0)
    (line,) = text.splitlines()[1:]
    assert line.startswith("    rank 1 on node1 gives no sign of life for 8 s: stopped, dead or cut off.")
    assert line.endswith("When last heard of, it ends a step of training, at train.py:1")


def test_where_all_ranks_have_come_it_is_the_network(job: Job) -> None:
    for rank in job.ranks:
        rank.joins()
    job.pass_time(WARN_AFTER + 1)
    assert "all ranks have come" in job.texts(0)[0]


def test_the_end_of_all_patience(job: Job) -> None:
    job.ranks[0].joins()
    job.pass_time(TIMEOUT - 1)
    assert not any(report.ends for report in job.ranks[0].reports)
    job.pass_time(2)
    last = job.ranks[0].reports[1]
    assert last.ends
    assert "rank 1 on node1, which is in code of its own" in last.text
    assert (
        "rank 0 on node0 gives up after 40 s (DISTFIT_TIMEOUT), and ends the job with status 75" in last.text
    )
    assert not any(report.ends for rank in job.ranks[1:] for report in rank.reports)


@pytest.mark.parametrize(
    ("warn_after", "timeout", "seconds"), [(0, TIMEOUT, TIMEOUT / 2), (50, 0, 50), (60, 10, 5), (10, 60, 10)]
)
def test_a_warning_comes_before_the_end_and_either_may_be_off(
    warn_after: float, timeout: float, seconds: float
) -> None:
    job = Job(2, warn_after, timeout)
    job.ranks[0].joins()
    job.pass_time(seconds - 1)
    assert job.texts(0) == []
    job.pass_time(1.5)
    assert len(job.texts(0)) == 1


def test_both_may_be_off() -> None:
    job = Job(2, 0, 0)
    job.ranks[0].joins()
    job.pass_time(10_000)
    assert job.texts(0) == []


def test_each_wait_is_told_of_once(job: Job) -> None:
    for wait in (1, 2):
        job.ranks[0].joins()
        job.pass_time(2 * WARN_AFTER)
        assert len(job.texts(0)) == wait
        for rank in job.ranks[1:]:
            rank.joins()
        for rank in job.ranks:
            rank.activity.waits_for = None
            rank.activity.finished += 1
        job.pass_time(2 * WARN_AFTER)


def test_whoever_is_looked_at_in_a_debugger_is_not_late(job: Job) -> None:
    job.ranks[1].where = Whereabouts("train.py:1", in_debugger=True)
    job.ranks[2].joins()
    job.ranks[0].joins()
    job.pass_time(10 * TIMEOUT)
    assert not any(rank.reports for rank in job.ranks)


def test_of_ranks_that_were_never_heard_of_nothing_is_said_but_that() -> None:
    job = Job(3)
    job.ranks[2].stopped = True
    for rank in job.ranks[:2]:
        rank.joins()
    job.pass_time(WARN_AFTER + 1)
    assert job.texts(0)[0].splitlines()[1:] == ["    nothing is known of rank 2 on node2"]


def test_many_late_ranks_are_counted() -> None:
    job = Job(20)
    job.ranks[0].joins()
    job.pass_time(WARN_AFTER + 1)
    lines = job.texts(0)[0].splitlines()
    assert len(lines) == 10
    assert lines[-1] == "    and 11 more"


def test_a_rank_in_a_collective_of_another_group_is_late_in_this_one(job: Job) -> None:
    job.ranks[1].activity.about = Phase.COLLECTIVE, 0, "barrier()"
    job.ranks[1].activity.waits_for = object()
    job.ranks[0].joins()
    job.pass_time(WARN_AFTER + 1)
    assert "rank 1 on node1, which calls barrier(), with other ranks, at train.py:1" in job.texts(0)[0]
    assert job.texts(1) == []  # its own watch of that group has the word
