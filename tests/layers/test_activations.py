"""Activation functions against SciPy's, far from zero too."""

import numpy as np
import pytest
from scipy import special

from distfit.layers import activations
from distfit.layers.error_function import erf

X = np.array([[-800.0, -90.0, -3.0, -0.5, 0.0, 0.25, 2.0, 90.0, 800.0]])

EXPECTED = {
    "elu": np.where(X > 0, X, special.expm1(np.minimum(X, 0))),
    "gelu": X * special.ndtr(X),
    "leaky_relu": np.where(X > 0, X, 0.2 * X),
    "linear": X,
    "log_softmax": special.log_softmax(X, axis=-1),
    "relu": np.where(X > 0, X, 0),
    "sigmoid": special.expit(X),
    "silu": X * special.expit(X),
    "softmax": special.softmax(X, axis=-1),
    "softplus": -special.log_expit(-X),
    "swish": X * special.expit(X),
    "tanh": np.tanh(X),
}


@pytest.mark.parametrize("name", sorted(activations.KNOWN))
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-13), ("float32", 2e-6)])
def test_values(name, dtype, rtol):
    x = X.astype(dtype)
    y, _ = activations.get(name)(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, EXPECTED[name], rtol=rtol, atol=np.finfo(dtype).tiny)


@pytest.mark.parametrize("name", sorted(activations.KNOWN))
def test_the_input_may_be_overwritten(name):
    x = np.linspace(-2, 2, 9).reshape(3, 3)
    y, backward = activations.get(name)(x)
    reused = x.copy()
    y_reused, backward_reused = activations.get(name)(reused, out=reused)
    np.testing.assert_array_equal(y_reused, y)
    np.testing.assert_array_equal(backward_reused(np.ones((3, 3))), backward(np.ones((3, 3))))


@pytest.mark.parametrize("name", sorted(activations.KNOWN))
def test_gradients_of_huge_inputs_are_finite(name):
    y, backward = activations.get(name)(X.astype(np.float32))
    assert np.isfinite(backward(np.ones_like(y))).all()


def test_gelu_by_tanh():
    # The paper's formula, worked out for x = 1: 0.5 * (1 + tanh(sqrt(2 / pi) * 1.044715)).
    y, backward = activations.gelu(np.array([1.0]), approximate=True)
    assert y[0] == pytest.approx(0.8411919906082768, rel=1e-12)
    above, below = (activations.gelu(np.array([1 + d]), approximate=True)[0][0] for d in (1e-6, -1e-6))
    assert backward(np.ones(1))[0] == pytest.approx((above - below) / 2e-6, rel=1e-8)


def test_erf_is_exact_to_rounding():
    x = np.concatenate([np.linspace(-7, 7, 20001), [1e-300, -1e-20, np.inf, -np.inf]])
    np.testing.assert_allclose(erf(x), special.erf(x), rtol=1e-15)
    np.testing.assert_allclose(erf(x.astype(np.float32)), special.erf(x.astype(np.float32)), rtol=5e-7)


def test_a_function_of_the_users_own():
    def double(x, out=None):
        return 2 * x, lambda dy: 2 * dy

    assert activations.get(double) is double


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"unknown activation 'rellu'. Did you mean 'relu'\?"):
        activations.get("rellu")


def test_what_is_no_activation_is_refused():
    with pytest.raises(TypeError, match="Received: 3"):
        activations.get(3)
