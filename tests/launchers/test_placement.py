"""Ranks and threads, by what a machine has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distfit.errors import LaunchError
from distfit.launchers.placement import place
from distfit.launchers.threads import NAMES, blas_threads

SLOTS = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(0, 8), max_size=5)


@given(wanted=st.integers(1, 20), slots=SLOTS)
def test_as_many_ranks_as_there_is_place_for(wanted: int, slots: dict[str, int]) -> None:
    room = sum(slots.values())
    if room == 0:
        with pytest.raises(LaunchError, match="at least 1"):
            place(wanted, 1, slots)
        return
    placed = place(wanted, 1, slots)
    assert sum(placed.values()) == min(wanted, room)
    assert all(0 < number <= slots[host] for host, number in placed.items())


def test_too_few_places_are_an_error_that_counts_them() -> None:
    with pytest.raises(LaunchError, match=r"at least 3 ranks.* places for 2: node2 \(2\).*--min-ranks"):
        place(4, 3, {"node2": 2})


@pytest.mark.parametrize(("ranks", "cores", "threads"), [(1, 8, "8"), (2, 8, "4"), (3, 8, "2"), (9, 8, "1")])
def test_cores_are_divided_among_ranks(ranks: int, cores: int, threads: str) -> None:
    assert blas_threads(ranks, cores, {}) == dict.fromkeys(NAMES, threads)


def test_what_a_user_has_set_holds() -> None:
    assert blas_threads(2, 8, {"OPENBLAS_NUM_THREADS": "3"}) == {}
