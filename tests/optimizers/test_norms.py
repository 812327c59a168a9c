"""The norm that clipping, LAMB and LARS take."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from distfit.optimizers.norms import squared_norm

floats = st.floats(-(2.0**100), 2.0**100, width=32)


@given(arrays(np.float32, st.integers(0, 50), elements=floats), st.integers(1, 60))
def test_any_length_in_any_pieces(values, piece):
    exact = math.fsum(float(value) ** 2 for value in values)
    assert squared_norm(values, np.empty(piece)) == pytest.approx(exact, rel=1e-14)


def test_a_million_equal_numbers_lose_nothing():
    assert squared_norm(np.full(1_000_000, 3.0, np.float32), np.empty(4096)) == 9_000_000.0
