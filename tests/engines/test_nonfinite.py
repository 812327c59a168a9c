"""The first number that is not finite, and the cheap test for any."""

import numpy as np
import pytest

from distfit.engines.nonfinite import DATA, OUTPUTS, all_finite, find


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 7, 99])
def test_any_element_is_seen(dtype, bad, place):
    array = np.ones(100, dtype)
    assert all_finite(array)
    array[place] = bad
    assert not all_finite(array)


def test_two_infinities_do_not_cancel():
    assert not all_finite(np.array([np.inf, -np.inf]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_largest_numbers_are_finite(dtype):
    assert all_finite(np.full(10, np.finfo(dtype).max))


def test_of_nothing_all_is_finite():
    assert all_finite(np.empty(0))


def test_the_first_array_is_named_and_its_rows():
    good, bad = np.ones((4, 2, 2)), np.ones((4, 2, 2))
    bad[1, 0, 1], bad[3, 1, 1] = np.nan, np.inf
    found = find(OUTPUTS, [("a", good), ("b", bad), ("c", bad)], by_row=True)
    assert found == (OUTPUTS, 1, "b", (1, 3))
    assert find(OUTPUTS, [("a", good)], by_row=True) is None


def test_what_has_no_rows_has_none():
    assert find(OUTPUTS, [("the loss", np.nan)]) == (OUTPUTS, 0, "the loss", ())


@pytest.mark.parametrize("array", [np.arange(3), np.array([True]), np.array(["nan"]), np.empty((0, 2))])
def test_whole_numbers_text_and_no_rows_are_finite(array):
    assert find(DATA, [("x", array)], by_row=True) is None
