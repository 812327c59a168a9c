"""The fully connected layer, by hand."""

import numpy as np
import pytest

from distfit import layers
from distfit.layers import lone_context


def test_values_and_gradients_by_hand(build):
    layer = build(layers.Dense(2, activation="relu", bias_initializer="ones"), (3,))
    layer.kernel.assign([[1, -1], [2, 0], [0, 3]])
    x = np.array([[1, 2, 3], [0, -1, 1]], np.float32)
    y, backward = layer.forward(x, lone_context(rows=2))
    np.testing.assert_array_equal(y, [[6, 9], [0, 4]])  # the second row's first unit is at -1 before relu
    dx = backward(np.array([[1, 1], [1, 2]], np.float32))
    np.testing.assert_array_equal(dx, [[0, 2, 3], [-2, 0, 6]])
    np.testing.assert_array_equal(layer.kernel._gradient, [[1, 1], [2, 0], [3, 5]])
    np.testing.assert_array_equal(layer.bias._gradient, [1, 3])


def test_more_axes_are_rows(build, run):
    layer = build(layers.Dense(2), (2, 5, 3))
    x = np.random.default_rng(0).standard_normal((4, 2, 5, 3)).astype(np.float32)
    expected = np.einsum("abci,io->abco", x, layer.kernel.value)
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-5, atol=1e-6)


def test_used_twice_the_gradients_add_up(build):
    layer = build(layers.Dense(1, kernel_initializer="ones"), (2,))
    _, first = layer.forward(np.array([[1.0, 2.0]]), lone_context(rows=1))
    _, second = layer.forward(np.array([[10.0, 20.0]]), lone_context(rows=1))
    first(np.ones((1, 1), np.float32))
    second(np.ones((1, 1), np.float32))
    np.testing.assert_array_equal(layer.kernel._gradient, [[11], [22]])


def test_regularizers_belong_to_their_weights(build):
    layer = build(
        layers.Dense(1, kernel_regularizer="l2", bias_regularizer=layers.regularizers.L1(0.5)), (1,)
    )
    layer.kernel.assign([[3.0]])
    layer.bias.assign([-2.0])
    assert layer.kernel.regularizer.penalty(layer.kernel.value) == pytest.approx(0.09)
    assert layer.bias.regularizer.penalty(layer.bias.value) == pytest.approx(1.0)


def test_another_width_is_no_fit(build, run):
    layer = build(layers.Dense(2, name="head"), (4,))
    with pytest.raises(ValueError, match=r"'head' takes rows of shape with 4 at axis -1.*Received: .*\(5,\)"):
        run(layer, np.zeros((1, 5)))


@pytest.mark.parametrize("units", [0, -3])
def test_units_are_positive(units):
    with pytest.raises(ValueError, match=f"Received: units={units}"):
        layers.Dense(units)


def test_rows_without_an_axis_are_refused():
    with pytest.raises(ValueError, match=r"'dense' takes rows of shape \(\.\.\., inputs\).*Received: .*\(\)"):
        layers.Dense(2)(layers.Input(()))
