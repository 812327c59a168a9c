"""The order of an epoch: a permutation that nobody holds."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distfit.data import Order

LENGTHS = st.integers(0, 3000)
SEEDS = st.integers(0, 2**32 - 1)


@given(length=LENGTHS, seed=SEEDS, epoch=st.integers(0, 1000))
def test_each_row_comes_once(length: int, seed: int, epoch: int) -> None:
    rows = Order(length, seed).rows(epoch, 0, length)
    assert rows.dtype == np.int64
    np.testing.assert_array_equal(np.sort(rows), np.arange(length))


@given(length=LENGTHS, seed=SEEDS, cuts=st.lists(st.integers(0, 3000), max_size=6))
def test_slices_are_those_of_the_whole(length: int, seed: int, cuts: list[int]) -> None:
    order = Order(length, seed)
    edges = [0, *sorted(min(cut, length) for cut in cuts), length]
    pieces = [order.rows(2, start, stop) for start, stop in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(pieces), order.rows(2, 0, length))


def test_a_slice_ends_with_the_data() -> None:
    assert Order(5, seed=1).rows(0, 3, 100).size == 2
    assert Order(5, seed=1).rows(0, 5, 100).size == 0


def test_epochs_and_seeds_differ() -> None:
    orders = [
        tuple(Order(50, seed).rows(epoch, 0, 50)) for seed in range(20) for epoch in range(20)
    ]  # 400 of 50! permutations: no two should be equal
    assert len(set(orders)) == 400


def test_without_shuffling_the_order_is_that_of_the_data() -> None:
    np.testing.assert_array_equal(Order(10, seed=3, shuffle=False).rows(7, 2, 8), np.arange(2, 8))


@pytest.mark.parametrize("length", [2, 3, 5, 10, 33])
def test_each_row_stands_at_each_place_equally_often(length: int) -> None:
    """The counts over many seeds pass a chi-squared test, row by row, at a level that chance fails once in 1e6."""
    draws = 2000
    places = np.zeros((length, length))
    for seed in range(draws):
        places[np.arange(length), Order(length, seed).rows(0, 0, length)] += 1
    expected = draws / length
    statistics = ((places - expected) ** 2 / expected).sum(axis=1)
    degrees = length - 1
    # Wilson and Hilferty (1931): the cube root of a chi-squared variable is nearly normal.
    normal = (np.cbrt(statistics / degrees) - (1 - 2 / (9 * degrees))) / np.sqrt(2 / (9 * degrees))
    assert normal.max() < 5.5


def test_neighbours_do_not_stay_neighbours() -> None:
    """Of a random order of n rows, about 2 pairs stay side by side, whatever n."""
    kept = [int((np.abs(np.diff(Order(1000, seed).rows(0, 0, 1000))) == 1).sum()) for seed in range(200)]
    assert 1.5 < np.mean(kept) < 2.5


def test_a_billion_rows_cost_the_memory_of_a_batch() -> None:
    order = Order(10**9, seed=5)
    tracemalloc.start()
    first = [order.rows(0, start, start + 1024) for start in range(0, 10 * 1024, 1024)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6
    rows = np.concatenate(first)
    assert len(np.unique(rows)) == rows.size
    assert 0 <= rows.min() < 10**8
    assert 9 * 10**8 < rows.max() < 10**9
