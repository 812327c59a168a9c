"""Which ranks run where, with which variables."""

import os
import platform

import pytest

from distfit.errors import LaunchError
from distfit.launchers.allocation import Allocation
from distfit.launchers.arrangement import arrange, others_of
from distfit.launchers.plan import Plan
from distfit.launchers.survey import Survey
from distfit.launchers.variables import chosen, forwarded

PROGRAM = ["-c", "pass"]
THREE = Allocation({"a": 2, "b": 2, "c": 1}, by_ssh=True, source="--hosts")
GONE = {"b": "b: no network leads to it"}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have four cores, and nothing set for BLAS."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4))
    for name in [name for name in os.environ if name.endswith("_NUM_THREADS")]:
        monkeypatch.delenv(name)


def test_hosts_are_filled_in_their_order() -> None:
    arrangement = arrange(Plan(PROGRAM, ranks=3, allocation=THREE), Survey({"a": 8, "b": 8, "c": 8}))
    assert arrangement.layout.hosts == {"a": 2, "b": 1}
    assert (arrangement.layout.ranks, arrangement.here, arrangement.is_here) == (3, 0, False)


def test_hosts_that_are_gone_are_left_out_if_the_plan_allows_it() -> None:
    found = Survey({"a": 8, "c": 8}, GONE)
    allowed = arrange(Plan(PROGRAM, ranks=5, min_ranks=3, allocation=THREE), found)
    assert allowed.layout.hosts == {"a": 2, "c": 1}
    with pytest.raises(LaunchError, match="b: no network leads to it"):
        arrange(Plan(PROGRAM, ranks=5, allocation=THREE), found)
    with pytest.raises(LaunchError, match=r"at least 4 ranks, .* places for 3: a \(2\), c \(1\)"):
        arrange(Plan(PROGRAM, ranks=5, min_ranks=4, allocation=THREE), found)


def test_threads_are_those_of_the_host_with_the_fewest_cores_for_a_rank() -> None:
    plan = Plan(PROGRAM, ranks=5, allocation=THREE)
    even = arrange(plan, Survey({"a": 8, "b": 8, "c": 8}))
    assert even.environment["OMP_NUM_THREADS"] == "4"
    uneven = arrange(plan, Survey({"a": 8, "b": 2, "c": 8}))
    assert uneven.environment["OMP_NUM_THREADS"] == "1"
    assert (uneven.layout.crowd, uneven.layout.cores, uneven.layout.is_crowded) == (2, 2, False)
    assert arrange(plan, Survey({"a": 8, "b": 1, "c": 8})).layout.is_crowded


def test_this_machine_alone_names_no_host() -> None:
    arrangement = arrange(Plan(PROGRAM, ranks=2), Survey())
    assert (arrangement.layout.hosts, arrangement.layout.forwarded, arrangement.here) == ({}, (), 2)
    assert arrangement.is_here
    assert arrangement.environment["OMP_NUM_THREADS"] == "2"


def test_slurms_hosts_are_left_to_mpiexec() -> None:
    job = Allocation(ranks=5, here=2, source="Slurm job 7")
    arrangement = arrange(Plan(PROGRAM, ranks=5, allocation=job), Survey())
    assert (arrangement.layout.hosts, arrangement.here, arrangement.is_here) == ({}, 2, False)
    assert arrangement.environment["OMP_NUM_THREADS"] == "2"  # two ranks on this node's four cores
    assert "OMP_NUM_THREADS" in arrangement.layout.forwarded


def test_ranks_that_are_bound_have_one_core_and_one_thread() -> None:
    arrangement = arrange(Plan(PROGRAM, ranks=2, bind="core"), Survey())
    assert arrangement.environment["OMP_NUM_THREADS"] == "1"
    with pytest.raises(LaunchError, match=r"--bind core .* 5 ranks would run on a machine with 4"):
        arrange(Plan(PROGRAM, ranks=5, bind="core"), Survey())


def test_more_ranks_than_places_are_an_error() -> None:
    with pytest.raises(
        LaunchError, match=r"places for 5 ranks, by --hosts\. Received: -n 6\. .*--ranks-per-node"
    ):
        Plan(PROGRAM, ranks=6, allocation=THREE)


def test_ssh_reaches_other_machines_only() -> None:
    mixed = {platform.node(): 1, "localhost": 1, "203.0.113.7": 1}
    assert others_of(Allocation(mixed, by_ssh=True)) == ["203.0.113.7"]
    assert others_of(Allocation(mixed)) == []  # a batch system answers for its own
    assert Allocation(mixed).ranks_here({platform.node(): 1, "localhost": 1, "203.0.113.7": 1}) == 2


def test_variables_are_chosen_and_forwarded() -> None:
    environment = {
        "A": "1",
        "B": "2",
        "PMI_RANK": "0",
        "SSH_AUTH_SOCK": "x",
        "BASH_FUNC_x%%": "() {",
        "TMPDIR": "/x",
    }
    assert chosen(["A", "C=3=4", "D="], environment) == {"A": "1", "C": "3=4", "D": ""}
    assert forwarded(environment) == ["A", "B"]
    for setting, text in (
        ("E", "--env E has no value"),
        ("1=2", "Received: '1=2'"),
        ("=2", "Received: '=2'"),
    ):
        with pytest.raises(LaunchError, match=text):
            chosen([setting], environment)
