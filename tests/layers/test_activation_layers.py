"""Activation layers against Keras's definitions, by hand."""

import numpy as np
import pytest

from distfit import layers

X = np.array([[-2.0, -0.5, 0.0, 1.0, 5.0]])


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.ReLU(), [0, 0, 0, 1, 5]),
        (layers.ReLU(max_value=3), [0, 0, 0, 1, 3]),
        (layers.ReLU(negative_slope=0.5), [-1, -0.25, 0, 1, 5]),
        (layers.ReLU(threshold=1), [0, 0, 0, 1, 5]),
        (layers.ReLU(max_value=3, negative_slope=0.5, threshold=1), [-1.5, -0.75, -0.5, 1, 3]),
        (layers.LeakyReLU(), [-0.6, -0.15, 0, 1, 5]),
        (layers.ELU(alpha=2), [2 * np.expm1(-2), 2 * np.expm1(-0.5), 0, 1, 5]),
    ],
)
def test_values(layer, expected, run):
    np.testing.assert_allclose(run(layer, X), [expected], rtol=1e-6)


def test_softmax_over_another_axis(run):
    y = run(layers.Softmax(axis=1), np.random.default_rng(0).standard_normal((2, 3, 4)))
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.ReLU(max_value=-1), "Received: max_value=-1"),
        (lambda: layers.ReLU(negative_slope=-1), "Received: negative_slope=-1"),
        (lambda: layers.Softmax(axis=0), "on several ranks. Received: axis=0"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
