"""Embeddings: rows of a table, by hand and by np.add.at."""

import numpy as np
import pytest

from distfit import layers
from distfit.layers import lone_context


def test_looked_up_and_summed(build):
    layer = build(layers.Embedding(6, 3), (4,))
    x = np.array([[0, 5, 5, 2], [5, 0, 3, 3]], np.uint8)
    y, backward = layer.forward(x, lone_context(rows=2))
    np.testing.assert_array_equal(y[0, 1], layer.embeddings.value[5])
    assert y.shape == (2, 4, 3)
    dy = np.random.default_rng(0).standard_normal(y.shape).astype(np.float32)
    assert backward(dy) is None
    expected = np.zeros((6, 3), np.float32)
    np.add.at(expected, x, dy)
    np.testing.assert_allclose(layer.embeddings._gradient, expected, rtol=1e-6)


def test_first_weights_are_kerass(build):
    table = build(layers.Embedding(100, 50), (1,)).embeddings.value
    assert 0.049 < np.abs(table).max() <= 0.05


def test_numbers_that_came_as_floats(build, run):
    layer = build(layers.Embedding(6, 3), (2,))
    np.testing.assert_array_equal(run(layer, np.array([[1.0, 4.0]])), run(layer, np.array([[1, 4]])))


@pytest.mark.parametrize("index", [6, -1])
def test_an_index_outside_is_named(index, build, run):
    layer = build(layers.Embedding(6, 3, name="words"), (2,))
    with pytest.raises(ValueError, match=rf"'words' has vectors for 0 to 5\. Received: the index {index};"):
        run(layer, np.array([[0, index]]))


def test_sizes_are_positive():
    with pytest.raises(ValueError, match="Received: input_dim=0, output_dim=2"):
        layers.Embedding(0, 2)
