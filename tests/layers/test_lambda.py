"""A function as a layer."""

import sys

import numpy as np
import pytest
from autograd import numpy as anp

from distfit import layers
from distfit.layers import lone_context


def test_gradient_of_a_function_of_two_inputs():
    layer = layers.Lambda(lambda x: x[0] * anp.tanh(x[1]))
    a, b = np.array([[2.0]]), np.array([[0.5]])
    y, backward = layer.forward([a, b], lone_context(rows=1))
    da, db = backward(np.ones((1, 1), np.float32))
    np.testing.assert_allclose([y, da], [[[2 * np.tanh(0.5)]], [[np.tanh(0.5)]]], rtol=1e-6)
    np.testing.assert_allclose(db, [[2 / np.cosh(0.5) ** 2]], rtol=1e-6)


def test_the_shape_is_found_out_or_told():
    assert layers.Lambda(lambda x: x[:, :2])(layers.Input((5,))).shape == (2,)
    assert layers.Lambda(lambda x: x[0] + x[1])([layers.Input((5,)), layers.Input((5,))]).shape == (5,)
    assert layers.Lambda(lambda x: x[:, :2], output_shape=(2,))(layers.Input((5,))).shape == (2,)
    assert layers.Lambda(lambda x: 2 * x)(layers.Input(())).shape == ()


def test_without_autograd_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "autograd", None)
    with pytest.raises(ImportError, match=r"pip install distfit-mpi\[autograd\]"):
        layers.Lambda(lambda x: x)
