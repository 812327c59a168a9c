"""Pooling, by hand."""

import numpy as np
import pytest

from distfit import layers
from distfit.layers import lone_context

X = np.array([[1, 5, 2], [8, 3, 4], [7, 6, 9]], np.float32).reshape(1, 3, 3, 1)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.MaxPooling2D(), [[8]]),
        (layers.MaxPooling2D(padding="same"), [[8, 4], [7, 9]]),
        (layers.MaxPooling2D(2, strides=1), [[8, 5], [8, 9]]),
        (layers.MaxPooling2D((3, 1)), [[8, 6, 9]]),
        (layers.AveragePooling2D(), [[17 / 4]]),
        (layers.AveragePooling2D(padding="same"), [[17 / 4, 3], [6.5, 9]]),
        (layers.AveragePooling2D(2, strides=1), [[17 / 4, 14 / 4], [24 / 4, 22 / 4]]),
        (layers.AveragePooling2D((1, 3)), [[8 / 3], [15 / 3], [22 / 3]]),
    ],
)
def test_values(layer, expected, run):
    np.testing.assert_allclose(run(layer, X)[0, :, :, 0], expected, rtol=1e-6)
    assert layer(layers.Input((3, 3, 1))).shape == (*np.shape(expected), 1)


def test_padding_is_less_than_any_number(run):
    np.testing.assert_array_equal(
        run(layers.MaxPooling2D(padding="same"), -X)[0, :, :, 0], [[-1, -2], [-6, -9]]
    )


def test_the_first_of_equal_numbers_gets_the_gradient():
    y, backward = layers.MaxPooling2D().forward(np.zeros((1, 2, 2, 1), np.float32), lone_context(rows=1))
    np.testing.assert_array_equal(backward(np.full_like(y, 3))[0, :, :, 0], [[3, 0], [0, 0]])


def test_overlapping_windows_add_their_gradients():
    y, backward = layers.MaxPooling2D(2, strides=1).forward(X, lone_context(rows=1))
    np.testing.assert_array_equal(backward(np.ones_like(y))[0, :, :, 0], [[0, 1, 0], [2, 0, 0], [0, 0, 1]])


def test_global_average(run):
    x = np.arange(24.0).reshape(2, 2, 2, 3)
    np.testing.assert_allclose(run(layers.GlobalAveragePooling2D(), x), [[4.5, 5.5, 6.5], [16.5, 17.5, 18.5]])
    assert run(layers.GlobalAveragePooling2D(keepdims=True), x).shape == (2, 1, 1, 3)


@pytest.mark.parametrize("layer", [layers.MaxPooling2D(), layers.GlobalAveragePooling2D()])
def test_rows_that_are_no_images_are_refused(layer):
    with pytest.raises(
        ValueError, match=r"takes rows of shape \(height, width, channels\).*Received: .*\(28, 28\)"
    ):
        layer(layers.Input((28, 28)))
