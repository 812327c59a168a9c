"""Rows that ranks put side by side give the sum of each rank's own product."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distfit.layers import JointProduct

MOST = 5


def ranks(count: int, inputs: int = 3, units: int = 2) -> list[JointProduct]:
    """Return what each of several ranks sees of one memory."""
    x, dy = np.zeros((MOST, count, inputs)), np.zeros((MOST, count, units))
    counts = [np.zeros(1) for _ in range(count)]
    return [JointProduct(x, dy, counts, rank) for rank in range(count)]


def rows(draw: np.random.Generator, count: int, inputs: int = 3, units: int = 2) -> Any:
    return draw.normal(size=(count, inputs)), draw.normal(size=(count, units))


@given(
    steps=st.lists(st.lists(st.integers(0, MOST), min_size=3, max_size=3), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
def test_any_numbers_of_rows_in_any_order_of_steps(steps: list[list[int]], seed: int) -> None:
    draw, together = np.random.default_rng(seed), ranks(3)
    for counts in steps:
        expected = np.zeros((3, 2))
        for one, count in zip(together, counts, strict=True):
            x, dy = rows(draw, count)
            if count:
                assert one.take(x, dy)
            else:
                one.clear()
            expected += x.T @ dy
        for one in together:
            np.testing.assert_allclose(one.multiply(slice(0, 3)), expected, atol=1e-12)
            out = np.empty((2, 2))
            one.multiply(slice(1, 3), out)
            np.testing.assert_allclose(out, expected[1:], atol=1e-12)
            assert one.are_elsewhere() == []


def test_rows_that_were_no_numbers_are_gone_in_the_next_step() -> None:
    (one,) = ranks(1)
    one.take(np.full((4, 3), np.inf), np.full((4, 2), np.nan))
    one.take(np.ones((2, 3)), np.ones((2, 2)))
    assert one.multiply(slice(0, 3)).tolist() == [[2, 2]] * 3


def test_more_rows_than_there_is_room_for_lie_elsewhere_and_count_as_none() -> None:
    first, second = ranks(2)
    draw = np.random.default_rng(0)
    first.take(*rows(draw, 2))
    x, dy = rows(draw, 3)
    second.take(x, dy)
    assert not first.take(*rows(draw, MOST + 1))
    assert second.are_elsewhere() == [0]
    np.testing.assert_allclose(second.multiply(slice(0, 3)), x.T @ dy)
    assert first.take(x, dy)
    assert second.are_elsewhere() == []
    np.testing.assert_allclose(second.multiply(slice(0, 3)), 2 * x.T @ dy)


def test_what_was_taken_may_be_withdrawn() -> None:
    first, second = ranks(2)
    x, dy = rows(np.random.default_rng(0), 3)
    first.take(x, dy)
    second.clear()
    out = np.empty((3, 2))
    first.withdraw(out)
    np.testing.assert_allclose(out, x.T @ dy)
    assert second.are_elsewhere() == [0]
    assert not second.multiply(slice(0, 3)).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinite_sums_warn_nobody(dtype: str) -> None:
    x, dy = np.zeros((2, 1, 2), dtype), np.zeros((2, 1, 2), dtype)
    one = JointProduct(x, dy, [np.zeros(1)], 0)
    one.take(np.full((2, 2), np.finfo(dtype).max), np.full((2, 2), np.finfo(dtype).max))
    assert np.isinf(one.multiply(slice(0, 2))).all()


def test_an_error_half_way_leaves_no_rows_behind() -> None:
    """The gradient overflows when it is cast, which is an error of the user's own making there."""
    x, dy = np.zeros((4, 1, 2), np.float32), np.zeros((4, 1, 2), np.float32)
    one = JointProduct(x, dy, [np.zeros(1)], 0)
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        one.take(np.ones((4, 2)), np.full((4, 2), 1e300))
    one.take(np.ones((1, 2)), np.ones((1, 2)))
    assert one.multiply(slice(0, 2)).tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("shape", [(2,), (1, 2), (3, 1)])
def test_what_is_no_gradient_of_these_rows_is_an_error(shape: tuple[int, ...]) -> None:
    (one,) = ranks(1)
    with pytest.raises(ValueError, match=r"of 3 rows has shape \(3, 2\)"):
        one.take(np.ones((3, 3)), np.ones(shape))
