"""Losses for numbers, and how targets and predictions are brought together."""

import numpy as np
import pytest

from distfit import losses


def test_mean_squared_error_by_hand():
    values, backward = losses.MeanSquaredError().forward(
        np.array([[0.0, 1.0], [2.0, 2.0]]), np.array([[1.0, 1.0], [0.0, 5.0]])
    )
    np.testing.assert_allclose(values, [0.5, 6.5])
    np.testing.assert_allclose(backward(None), [[1.0, 0.0], [-2.0, 3.0]])
    np.testing.assert_allclose(backward(np.array([2.0, 0.0])), [[2.0, 0.0], [0.0, 0.0]])


def test_mean_absolute_error_by_hand():
    values, backward = losses.MeanAbsoluteError().forward(np.array([[0.0, 4.0]]), np.array([[0.0, 1.0]]))
    np.testing.assert_allclose(values, [1.5])
    np.testing.assert_allclose(backward(None), [[0.0, -0.5]])


def test_huber_is_square_inside_delta_and_linear_outside():
    values, backward = losses.Huber(2.0).forward(np.zeros((3, 1)), np.array([[1.0], [2.0], [-5.0]]))
    np.testing.assert_allclose(values, [0.5, 2.0, 8.0])
    np.testing.assert_allclose(backward(None), [[1.0], [2.0], [-2.0]])


def test_hinge_reads_zero_as_minus_one():
    hinge = losses.Hinge()
    y_pred = np.array([[0.3], [-0.4], [2.0]])
    values, _ = hinge.forward(np.array([[1], [-1], [1]]), y_pred)
    np.testing.assert_allclose(values, [0.7, 0.6, 0.0])
    zero_or_one, _ = hinge.forward(np.array([[1], [0], [1]], np.uint8), y_pred)
    np.testing.assert_allclose(zero_or_one, values)


def test_a_call_is_the_mean_over_rows_and_weights_do_not_change_the_divisor():
    loss = losses.MeanSquaredError()
    assert loss([[0.0], [0.0]], [[1.0], [3.0]]) == 5.0
    assert loss([[0.0], [0.0]], [[1.0], [3.0]], sample_weight=[2.0, 0.0]) == 1.0
    assert isinstance(loss([[0]], [[2]]), float)


@pytest.mark.parametrize("true_shape", [(3,), (3, 1)])
@pytest.mark.parametrize("pred_shape", [(3,), (3, 1)])
def test_one_output_is_a_column_or_a_line(true_shape, pred_shape):
    y_true, y_pred = np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.0, 1.0])
    values, backward = losses.MeanSquaredError().forward(
        y_true.reshape(true_shape), y_pred.reshape(pred_shape)
    )
    np.testing.assert_allclose(values, [0.25, 0.0, 4.0])
    np.testing.assert_allclose(backward(np.ones(3)), np.reshape([1.0, 0.0, -4.0], pred_shape))
    np.testing.assert_allclose(backward(None), np.reshape([1.0, 0.0, -4.0], pred_shape))


@pytest.mark.parametrize("true_shape", [(3,), (3, 1), (3, 3), (2, 2), (3, 2, 2)])
def test_other_shapes_are_refused_and_named(true_shape):
    with pytest.raises(ValueError, match=r"Received: y_true of shape \(.*y_pred of shape \(3, 2\)"):
        losses.MeanSquaredError().forward(np.zeros(true_shape), np.zeros((3, 2)))


def test_targets_of_small_integers_do_not_wrap_around():
    assert losses.MeanSquaredError()(np.array([[200]], np.uint8), np.array([[100.0]], np.float32)) == 10_000.0


def test_huber_needs_a_positive_delta():
    with pytest.raises(ValueError, match=r"has to be positive\. Received: 0"):
        losses.Huber(0)
