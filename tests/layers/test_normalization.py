"""Normalization with the data's statistics, against NumPy's and scikit-learn's."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from distfit import layers


def data(*shape):
    return np.random.default_rng(0).normal(50.0, 3.0, shape)


def test_features_as_scikit_learn_scales_them(build, run):
    x = data(5000, 4)
    layer = layers.Normalization()
    layer.adapt(x)
    build(layer, (4,))
    np.testing.assert_allclose(run(layer, x), StandardScaler().fit_transform(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("axis", "over", "shape"),
    [(-1, (0, 1, 2), (2,)), (None, (0, 1, 2, 3), ()), ((1, 3), (0, 2), (3, 2)), (1, (0, 2, 3), (3,))],
)
def test_axes(axis, over, shape, build):
    x = data(10, 3, 4, 2)
    layer = layers.Normalization(axis)
    layer.adapt(x)
    build(layer, (3, 4, 2))
    assert layer.mean.shape == shape
    np.testing.assert_allclose(layer.mean.value, x.mean(over), rtol=1e-6)
    np.testing.assert_allclose(layer.variance.value, x.var(over), rtol=1e-5)


def test_adapted_after_the_model_was_built(build, run):
    layer = build(layers.Normalization(), (1,))
    np.testing.assert_array_equal(run(layer, np.array([[5.0]])), [[5.0]])
    layer.adapt(np.array([[1], [3]], np.uint8))
    np.testing.assert_allclose(run(layer, np.array([[5.0]])), [[3.0]])


def test_adapted_between_call_and_model(build, run):
    layer = layers.Normalization()
    layer(layers.Input((1,)))
    layer.adapt(np.array([[1.0], [3.0]]))
    np.testing.assert_allclose(run(build(layer, (1,)), np.array([[5.0]])), [[3.0]])


def test_given_statistics(build, run):
    layer = build(layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 0.0]), (2,))
    np.testing.assert_allclose(run(layer, np.array([[3.0, 2.0]])), [[1.0, 0.0]])


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: layers.Normalization(mean=1.0), "Received: mean=1.0, variance=None"),
        (lambda: layers.Normalization().adapt(np.zeros((0, 2))), "Received: data of length 0"),
        (lambda: layers.Normalization(axis=0)(layers.Input((2,))), r"with the axis 0 \(0 is the batch's\)"),
        (lambda: layers.Normalization(axis=3)(layers.Input((2,))), "with the axis 3"),
    ],
)
def test_what_cannot_be_normalized(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_another_width_is_no_fit(build, run):
    layer = build(layers.Normalization(), (2,))
    with pytest.raises(ValueError, match=r"'normalization' takes rows .*Received: rows of shape \(1,\)"):
        run(layer, np.zeros((3, 1)))
