"""The arena: one buffer, and views of it that begin at cache lines."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distfit.engines.arena import Arena

SHAPES = st.lists(st.lists(st.integers(0, 9), max_size=3).map(tuple), max_size=6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(shapes=SHAPES)
def test_parts_are_aligned_apart_and_views_of_the_buffer(dtype: str, shapes: list[tuple[int, ...]]) -> None:
    arena = Arena(shapes, dtype)
    assert arena.buffer.size == 0 or arena.buffer.ctypes.data % 64 == 0
    assert [view.shape for view in arena.views] == shapes
    for number, view in enumerate(arena.views, start=1):
        assert view.dtype == dtype
        if view.size:
            assert view.ctypes.data % 64 == 0
        view[...] = number
    written = sum(view.size for view in arena.views)
    assert np.count_nonzero(arena.buffer) == written  # no part lies in another, and the gaps are zero
    for number, (view, start) in enumerate(zip(arena.views, arena.starts, strict=True), start=1):
        assert (view == number).all()
        np.testing.assert_array_equal(arena.buffer[start : start + view.size], view.reshape(-1))
