"""Layers of several inputs."""

import numpy as np
import pytest

from distfit import layers

A = np.arange(6.0, dtype=np.float32).reshape(1, 2, 3)
B = np.array([[[10.0], [20.0]]], np.float32)


def test_add(run):
    np.testing.assert_array_equal(run(layers.Add(), [A, A, A]), 3 * A)
    np.testing.assert_array_equal(run(layers.Add(), [B, A]), [[[10, 11, 12], [23, 24, 25]]])


def test_multiply(run):
    np.testing.assert_array_equal(run(layers.Multiply(), [A, A, A]), A**3)
    np.testing.assert_array_equal(run(layers.Multiply(), [B, A]), [[[0, 10, 20], [60, 80, 100]]])


def test_concatenate(run):
    np.testing.assert_array_equal(run(layers.Concatenate(), [A, B]), [[[0, 1, 2, 10], [3, 4, 5, 20]]])
    assert run(layers.Concatenate(axis=1), [A, A]).shape == (1, 4, 3)


@pytest.mark.parametrize(
    ("layer", "shapes", "message"),
    [
        (layers.Add(), [(2, 3), (2, 4)], "'add' takes rows of shape with equal sizes, or 1, at each axis"),
        (layers.Multiply(), [(2, 3), (3,)], "'multiply' takes rows of shape of as many dimensions"),
        (layers.Add(), [(3,)], "in a list of at least two"),
        (layers.Concatenate(), [(2, 3), (1, 3)], "of equal sizes but at axis -1"),
        (layers.Concatenate(axis=3), [(2, 3), (2, 3)], "that have the axis 3"),
    ],
)
def test_shapes_that_do_not_match_are_named(layer, shapes, message):
    with pytest.raises(ValueError, match=message) as caught:
        layer([layers.Input(shape) for shape in shapes])
    assert f"Received: rows of shape {shapes}" in str(caught.value)


def test_one_input_is_not_several():
    with pytest.raises(ValueError, match=r"a list of at least two.*Received: rows of shape \(2, 3\)"):
        layers.Add()(layers.Input((2, 3)))


def test_the_batch_is_no_axis_to_join():
    with pytest.raises(ValueError, match="Received: axis=0"):
        layers.Concatenate(axis=0)
