"""Layers that give the numbers of a row another shape."""

import numpy as np
import pytest

from distfit import layers


@pytest.mark.parametrize(
    ("target", "shape"),
    [((3, 4), (3, 4)), ((-1,), (12,)), ((2, -1, 3), (2, 2, 3)), ((12, 1), (12, 1))],
)
def test_reshape(target, shape, run):
    x = np.arange(24).reshape(2, 4, 3)
    y = run(layers.Reshape(target), x)
    np.testing.assert_array_equal(y, x.reshape(2, *shape))
    assert layers.Reshape(target)(layers.Input((4, 3))).shape == shape


@pytest.mark.parametrize(("shape", "flat"), [((4, 3), (12,)), ((5,), (5,)), ((), (1,))])
def test_flatten(shape, flat, run):
    x = np.zeros((2, *shape), np.uint8)
    assert run(layers.Flatten(), x).shape == (2, *flat)
    assert layers.Flatten()(layers.Input(shape)).shape == flat


@pytest.mark.parametrize("target", [(5, 2), (5, -1), (0, -1)])
def test_numbers_are_neither_lost_nor_found(target):
    with pytest.raises(
        ValueError, match=r"'reshape' takes rows of shape that can become .*Received: .*\(4, 3\)"
    ):
        layers.Reshape(target)(layers.Input((4, 3)))


@pytest.mark.parametrize("target", [(-1, -1), (-2, 3)])
def test_only_one_size_may_be_left_open(target):
    with pytest.raises(ValueError, match="sizes are not negative, but for one -1"):
        layers.Reshape(target)
