"""Random numbers that belong to a row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distfit import config
from distfit.random import RowGenerator, draw_seed, stream_of

SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(
    rows=st.integers(0, 40),
    cuts=st.lists(st.integers(0, 40), max_size=3),
    shape=SHAPES,
    seed=st.integers(0, 2**64),
)
def test_numbers_do_not_depend_on_how_rows_are_cut(
    dtype: str, rows: int, cuts: list[int], shape: tuple[int, ...], seed: int
) -> None:
    edges = [0, *sorted(min(cut, rows) for cut in cuts), rows]
    whole = RowGenerator(seed, 2, 7, 100, rows)
    parts = [RowGenerator(seed, 2, 7, 100 + a, b - a) for a, b in zip(edges, edges[1:], strict=False)]  # noqa: RUF007
    for draw in (RowGenerator.uniform, RowGenerator.normal, RowGenerator.uniform):
        expected = draw(whole, shape, dtype)
        assert (expected.shape, expected.dtype) == ((rows, *shape), dtype)
        np.testing.assert_array_equal(np.concatenate([draw(part, shape, dtype) for part in parts]), expected)


def test_all_that_names_a_number_changes_it() -> None:
    base = {"seed": 1, "stream": 2, "step": 3, "first_row": 4}
    drawn = [RowGenerator(**base, rows=2).uniform((8,))]
    drawn += [RowGenerator(**{**base, name: value + 1}, rows=2).uniform((8,)) for name, value in base.items()]
    again = RowGenerator(**base, rows=2)
    again.uniform((8,))
    drawn.append(again.uniform((8,)))  # a second call
    rows = np.concatenate(drawn)[::2]
    assert len(np.unique(rows)) == rows.size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distributions(dtype: str) -> None:
    """Moments over 120,000 draws: within five standard errors of the textbook's."""
    uniform = RowGenerator(5, 0, 0, 0, 4000).uniform((30,), dtype).astype(np.float64)
    normal = RowGenerator(5, 1, 0, 0, 4000).normal((30,), dtype).astype(np.float64)
    error = 5 / np.sqrt(uniform.size)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert abs(uniform.mean() - 1 / 2) < error * np.sqrt(1 / 12)
    assert abs(uniform.var() - 1 / 12) < error * np.sqrt(1 / 180)
    assert abs(normal.mean()) < error
    assert abs(normal.var() - 1) < error * np.sqrt(2)
    assert abs((normal**4).mean() - 3) < error * np.sqrt(96)
    assert abs(np.corrcoef(normal[:, 0], normal[:, 1])[0, 1]) < 5 / np.sqrt(4000)
    assert abs(np.corrcoef(normal[1:, 0], normal[:-1, 0])[0, 1]) < 5 / np.sqrt(4000)


def test_the_type_is_that_of_the_configuration() -> None:
    assert RowGenerator(0, 0, 0, 0, 1).uniform().dtype == config.floatx()


def test_streams_by_name_are_no_layers() -> None:
    assert stream_of("map ['x']") != stream_of("map ['y']")
    assert stream_of("") >= 2**32


def test_seeds_from_entropy_differ() -> None:
    assert len({draw_seed() for _ in range(10)}) == 10
