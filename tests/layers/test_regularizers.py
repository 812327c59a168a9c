"""Penalties, by hand."""

import numpy as np
import pytest

from distfit.layers import regularizers

W = np.array([[1.0, -2.0], [0.0, 3.0]])


@pytest.mark.parametrize(
    ("identifier", "penalty", "gradient"),
    [
        ("l1", 0.06, [[0.01, -0.01], [0, 0.01]]),
        ("l2", 0.14, [[0.02, -0.04], [0, 0.06]]),
        (regularizers.L1L2(0.5, 0.25), 6.5, [[1.0, -1.5], [0, 2.0]]),
    ],
)
def test_penalty_and_gradient(identifier, penalty, gradient):
    regularizer = regularizers.get(identifier)
    assert regularizer.penalty(W) == pytest.approx(penalty)
    np.testing.assert_allclose(regularizer.gradient(W), gradient)


def test_none_is_none():
    assert regularizers.get(None) is None
