"""Every loss's gradient is the derivative of its weighted values, by finite differences."""

import autograd.numpy as anp
import numpy as np
import pytest

from distfit import losses

ROWS, OUTPUTS = 5, 4


def probabilities(rng, shape):
    return rng.uniform(0.05, 0.95, shape)


def logits(rng, shape):
    return 3 * rng.standard_normal(shape)


def numbers(rng, shape):
    return rng.standard_normal(shape)


def binary(rng, shape):
    return rng.integers(0, 2, shape)


def labels(rng, shape):
    return rng.integers(0, shape[-1], shape[:-1])


def distribution(rng, shape):
    return rng.dirichlet(np.ones(shape[-1]), shape[:-1])


def with_gradient(y_true, y_pred):
    return ((y_pred - y_true) ** 4).sum(-1), 4 * (y_pred - y_true) ** 3


def by_autograd(y_true, y_pred):
    return anp.sum(anp.sin(y_pred) * y_true + y_pred**2, axis=-1)


CASES = {
    "mse": (losses.MeanSquaredError(), numbers, numbers),
    "mae": (losses.MeanAbsoluteError(), numbers, numbers),
    "huber": (losses.Huber(0.7), numbers, numbers),
    "hinge": (losses.Hinge(), binary, numbers),
    "bce": (losses.BinaryCrossentropy(), binary, probabilities),
    "bce_smooth": (losses.BinaryCrossentropy(label_smoothing=0.2), binary, probabilities),
    "bce_logits": (losses.BinaryCrossentropy(from_logits=True), binary, logits),
    "cce": (losses.CategoricalCrossentropy(), distribution, probabilities),
    "cce_smooth": (losses.CategoricalCrossentropy(label_smoothing=0.2), distribution, probabilities),
    "cce_logits": (losses.CategoricalCrossentropy(from_logits=True), distribution, logits),
    "cce_any_mass": (losses.CategoricalCrossentropy(from_logits=True), probabilities, logits),
    "scce": (losses.SparseCategoricalCrossentropy(), labels, probabilities),
    "scce_logits": (losses.SparseCategoricalCrossentropy(from_logits=True), labels, logits),
    "function": (losses.FunctionLoss(with_gradient), numbers, numbers),
    "autograd": (losses.FunctionLoss(by_autograd), numbers, numbers),
}


@pytest.mark.parametrize("shape", [(ROWS, OUTPUTS), (3, 2, OUTPUTS), (1, OUTPUTS)])
@pytest.mark.parametrize("case", CASES)
def test_gradient_is_the_derivative_of_the_weighted_values(case, shape):
    loss, draw_true, draw_pred = CASES[case]
    rng = np.random.default_rng(7)
    y_true, y_pred = draw_true(rng, shape), draw_pred(rng, shape)
    weights = rng.uniform(0.5, 2.0, shape[:-1])

    values, backward = loss.forward(y_true, y_pred)
    gradient = backward(weights)

    assert values.shape == shape[:-1]
    step = 1e-6
    for index in np.ndindex(shape):
        ahead, behind = y_pred.copy(), y_pred.copy()
        ahead[index] += step
        behind[index] -= step
        difference = loss.forward(y_true, ahead)[0] - loss.forward(y_true, behind)[0]
        slope = (weights * difference).sum() / (2 * step)
        assert gradient[index] == pytest.approx(slope, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_no_weights_are_weights_of_one(case):
    loss, draw_true, draw_pred = CASES[case]
    rng = np.random.default_rng(3)
    shape = (ROWS, OUTPUTS)
    values, backward = loss.forward(draw_true(rng, shape), draw_pred(rng, shape))
    np.testing.assert_allclose(backward(None), backward(np.ones_like(values)), rtol=1e-15)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_keeps_dtype_and_the_predictions_stay_as_they_were(case, dtype):
    loss, draw_true, draw_pred = CASES[case]
    rng = np.random.default_rng(3)
    y_true = draw_true(rng, (ROWS, OUTPUTS))
    y_pred = draw_pred(rng, (ROWS, OUTPUTS)).astype(dtype)
    before = y_pred.copy()
    values, backward = loss.forward(y_true, y_pred)
    assert backward(None).dtype == dtype
    assert backward(np.ones_like(values, "float64")).dtype == dtype
    np.testing.assert_array_equal(y_pred, before)
    np.testing.assert_array_equal(backward(None), backward(None), "a backward may be called twice")


@pytest.mark.parametrize("case", CASES)
def test_memory_layout_does_not_matter(case):
    loss, draw_true, draw_pred = CASES[case]
    rng = np.random.default_rng(3)
    y_true, y_pred = draw_true(rng, (ROWS, OUTPUTS)), draw_pred(rng, (ROWS, OUTPUTS))
    values, backward = loss.forward(y_true, y_pred)
    fortran_values, fortran_backward = loss.forward(np.asfortranarray(y_true), np.asfortranarray(y_pred))
    np.testing.assert_allclose(fortran_values, values, rtol=1e-14)
    np.testing.assert_allclose(fortran_backward(None), backward(None), rtol=1e-13)
