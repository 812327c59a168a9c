"""Phases and keys travel as sums of themselves and their squares."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distfit.comm import Phase, all_equal, fingerprint, key_of
from distfit.comm.phase import describe


@given(st.lists(st.integers(0, 2**20 - 1), min_size=1, max_size=64))
def test_sums_and_squares_are_those_of_equal_numbers_only_if_they_are_equal(numbers: list[int]) -> None:
    values = np.array(numbers, np.float64)
    assert all_equal((len(numbers), values.sum(), (values**2).sum())) == (len(set(numbers)) == 1)


def test_one_other_key_among_ten_thousand_ranks_is_found() -> None:
    for other in (2**20 - 2, 0):
        values = np.full(10_000, 2.0**20 - 1)
        values[77] = other
        assert not all_equal((values.size, values.sum(), (values**2).sum()))


@given(st.lists(st.text("ab", max_size=3), max_size=6))
def test_fingerprints_tell_whether_all_ranks_have_the_same_text(texts: list[str]) -> None:
    sums = np.sum([np.zeros(3), *map(fingerprint, texts)], axis=0)
    assert all_equal(sums.tolist()) == (len(set(texts)) <= 1)


@given(st.text("abc_:. ö", max_size=30))
def test_keys_are_small_and_the_same_everywhere(name: str) -> None:
    assert 0 <= key_of(name) < 2**20
    assert key_of(name) == key_of(name)


def test_keys_of_hooks_and_operations_differ() -> None:
    names = [
        "fit",
        "evaluate",
        "predict",
        "save",
        "load_weights",
        "on_epoch_end",
        "on_epoch_begin",
        "barrier",
    ]
    assert len({key_of(name) for name in names}) == len(names)


def test_every_phase_can_be_told() -> None:
    assert [describe(phase, 3, "fit") for phase in Phase if "{" in describe(phase, 3, "fit")] == []
    assert describe(Phase.BEGIN, 0, "fit") == "begins fit"
    assert "layer 3" in describe(Phase.FORWARD_SUMS, 3, "")
