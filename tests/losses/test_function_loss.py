"""A user's own function as a loss."""

import builtins

import autograd.numpy as anp
import numpy as np
import pytest

from distfit import losses


def squared(y_true, y_pred):
    return anp.mean((y_pred - y_true) ** 2, axis=-1)


def test_autograd_gives_what_the_built_in_loss_gives():
    rng = np.random.default_rng(0)
    y_true, y_pred, weights = rng.standard_normal((6, 3)), rng.standard_normal((6, 3)), rng.uniform(size=6)
    values, backward = losses.FunctionLoss(squared).forward(y_true, y_pred)
    expected, expected_backward = losses.MeanSquaredError().forward(y_true, y_pred)
    np.testing.assert_allclose(values, expected)
    np.testing.assert_allclose(backward(weights), expected_backward(weights))


def test_targets_of_one_axis_do_not_broadcast_against_a_column():
    assert losses.FunctionLoss(squared)(np.array([1.0, 2.0]), np.array([[1.0], [4.0]])) == 2.0


def test_a_given_gradient_is_scaled_row_by_row():
    def loss(y_true, y_pred):
        return y_pred.sum(axis=(1, 2)), np.ones_like(y_pred)

    values, backward = losses.FunctionLoss(loss).forward(np.zeros((2, 3, 1)), np.ones((2, 3, 1)))
    np.testing.assert_allclose(values, [3.0, 3.0])
    np.testing.assert_allclose(backward(np.array([1.0, 2.0]))[:, :, 0], [[1, 1, 1], [2, 2, 2]])


def test_the_name_is_the_functions():
    assert losses.FunctionLoss(squared).name == "squared"
    assert losses.FunctionLoss(squared, name="mine").name == "mine"


def test_a_mean_is_refused():
    with pytest.raises(ValueError, match=r"one value for each of 4 rows.*shape \(\)"):
        losses.FunctionLoss(lambda t, p: (p.mean(), np.ones_like(p)))(np.zeros((4, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"one value for each of 4 rows"):
        losses.FunctionLoss(lambda t, p: anp.mean(p))(np.zeros((4, 2)), np.zeros((4, 2)))


def test_a_gradient_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(4, 2\). Received: \(4,\)"):
        losses.FunctionLoss(lambda t, p: (p[:, 0], p[:, 0]))(np.zeros((4, 2)), np.zeros((4, 2)))


def test_numpy_instead_of_autograd_numpy_is_explained():
    with pytest.raises(TypeError, match=r"autograd cannot follow .*autograd\.numpy.*\(values, gradient\)"):
        losses.FunctionLoss(lambda t, p: np.where(p > t, p, t).sum(axis=-1))(
            np.zeros((4, 2)), np.ones((4, 2))
        )


def test_without_autograd_the_remedy_is_named(monkeypatch):
    real_import = builtins.__import__

    def no_autograd(name, *args, **kwargs):
        if name.startswith("autograd"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_autograd)
    with pytest.raises(ImportError, match=r"pip install distfit-mpi\[autograd\]"):
        losses.FunctionLoss(squared)(np.zeros((4, 2)), np.zeros((4, 2)))
