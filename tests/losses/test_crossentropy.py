"""Cross-entropies against scikit-learn, SciPy and calculation by hand."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from distfit import losses

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3], [0.25, 0.5, 0.25]])
LABELS = np.array([0, 2, 0, 1])
ONE_HOT = np.eye(3)[LABELS]
LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 3.0], [-2.0, 1.0, 1.0], [5.0, 1.0, -5.0]])


def test_sparse_and_dense_agree_with_scikit_learn():
    expected = log_loss(LABELS, PROBABILITIES)
    assert losses.SparseCategoricalCrossentropy()(LABELS, PROBABILITIES) == pytest.approx(expected)
    assert losses.CategoricalCrossentropy()(ONE_HOT, PROBABILITIES) == pytest.approx(expected)


def test_logits_agree_with_scipy():
    expected = -log_softmax(LOGITS, axis=-1)[np.arange(4), LABELS]
    for loss, y_true in (
        (losses.SparseCategoricalCrossentropy(from_logits=True), LABELS),
        (losses.CategoricalCrossentropy(from_logits=True), ONE_HOT),
    ):
        values, backward = loss.forward(y_true, LOGITS)
        np.testing.assert_allclose(values, expected, rtol=1e-12)
        np.testing.assert_allclose(backward(None), softmax(LOGITS, axis=-1) - ONE_HOT, atol=1e-15)


def test_probabilities_are_divided_by_their_sum():
    scaled = PROBABILITIES * np.array([[1.0], [2.0], [0.5], [10.0]])
    expected = log_loss(LABELS, PROBABILITIES)
    assert losses.SparseCategoricalCrossentropy()(LABELS, scaled) == pytest.approx(expected)
    assert losses.CategoricalCrossentropy()(ONE_HOT, scaled) == pytest.approx(expected)


def test_label_smoothing_by_hand():
    # targets 0.9, 0.1 / 3 added to each: [0.9333.., 0.0333.., 0.0333..] for s = 0.1
    spread = 0.9 * ONE_HOT + 0.1 / 3
    expected = -(spread * np.log(PROBABILITIES)).sum(axis=-1).mean()
    assert losses.CategoricalCrossentropy(label_smoothing=0.1)(ONE_HOT, PROBABILITIES) == pytest.approx(
        expected
    )
    # a target 1 becomes 0.9 and 0 becomes 0.1 for s = 0.2
    expected = -(0.9 * np.log(0.8) + 0.1 * np.log(0.2))
    loss = losses.BinaryCrossentropy(label_smoothing=0.2)
    assert loss([[1], [0]], [[0.8], [0.2]]) == pytest.approx(expected)


def test_binary_agrees_with_scikit_learn_from_probabilities_and_logits():
    y_true, p = np.array([0, 1, 1, 0]), np.array([0.1, 0.8, 0.35, 0.6])
    expected = log_loss(y_true, p)
    assert losses.BinaryCrossentropy()(y_true, p[:, None]) == pytest.approx(expected)
    logits = np.log(p / (1 - p))
    values, backward = losses.BinaryCrossentropy(from_logits=True).forward(y_true, logits[:, None])
    assert values.mean() == pytest.approx(expected)
    np.testing.assert_allclose(backward(None)[:, 0], p - y_true, atol=1e-15)


def test_several_binary_outputs_are_averaged():
    assert losses.BinaryCrossentropy()([[1, 0]], [[0.5, 0.25]]) == pytest.approx(
        -(np.log(0.5) + np.log(0.75)) / 2
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_huge_logits_overflow_nothing(dtype, size):
    y_pred = np.array([[size, 0.0], [-size, 0.0]], dtype)
    right_and_wrong = [0.0, size]
    values, backward = losses.SparseCategoricalCrossentropy(from_logits=True).forward(
        np.array([0, 0]), y_pred
    )
    np.testing.assert_allclose(values, right_and_wrong, rtol=1e-6)
    np.testing.assert_allclose(backward(None), [[0, 0], [-1, 1]])
    one_hot = np.array([[1, 0], [1, 0]])
    values, backward = losses.CategoricalCrossentropy(from_logits=True).forward(one_hot, y_pred)
    np.testing.assert_allclose(values, right_and_wrong, rtol=1e-6)
    np.testing.assert_allclose(backward(None), [[0, 0], [-1, 1]])
    values, backward = losses.BinaryCrossentropy(from_logits=True).forward(np.ones((2, 1)), y_pred[:, :1])
    np.testing.assert_allclose(values, right_and_wrong, rtol=1e-6)
    np.testing.assert_allclose(backward(None), [[0], [-1]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_certain_probabilities_give_finite_losses_and_no_slope(dtype):
    y_pred = np.array([[1.0, 0.0], [1.0, 0.0]], dtype)
    worst = -np.log(1e-7)
    values, backward = losses.SparseCategoricalCrossentropy().forward(np.array([0, 1]), y_pred)
    np.testing.assert_allclose(values, [0.0, worst], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(backward(None), 0)
    values, backward = losses.CategoricalCrossentropy().forward(np.eye(2), y_pred)
    np.testing.assert_allclose(values, [0.0, worst], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(backward(None), 0)
    values, backward = losses.BinaryCrossentropy().forward(np.array([1, 0]), y_pred[:, :1])
    np.testing.assert_allclose(values, [0.0, worst], rtol=2e-2, atol=1e-6)
    np.testing.assert_array_equal(backward(None), 0)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "uint64", "float32", "bool"])
@pytest.mark.parametrize("column", [False, True])
def test_labels_may_be_of_any_type(dtype, column):
    labels = np.array([0, 1, 1, 0]).astype(dtype).reshape((4, 1) if column else (4,))
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = -log_softmax(LOGITS, axis=-1)[np.arange(4), [0, 1, 1, 0]].mean()
    assert loss(labels, LOGITS) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        ([0, 1, 3, 0], "from 0 to 2, .* 3 classes.*Received: 3 in row 2"),
        ([-1, 1, 0, 0], "Received: -1 in row 0"),
        ([0.0, 1.5, 0.0, 0.0], "Received: 1.5 in row 1"),
        ([0.0, 1.0, 0.0, np.nan], "Received: nan in row 3"),
        ([0.0, np.inf, 0.0, 0.0], "Received: inf in row 1"),
        (np.array([2**64 - 1, 0, 0, 0], np.uint64), "Received: 18446744073709551615 in row 0"),
    ],
)
@pytest.mark.parametrize("from_logits", [False, True])
def test_labels_out_of_range_are_named_with_their_row(labels, complaint, from_logits):
    with pytest.raises(ValueError, match=complaint):
        losses.SparseCategoricalCrossentropy(from_logits=from_logits)(np.array(labels), PROBABILITIES)


def test_the_row_is_named_where_a_row_has_several_labels():
    with pytest.raises(ValueError, match="Received: 9 in row 1"):
        losses.SparseCategoricalCrossentropy()(np.array([[0, 1], [2, 9]]), np.full((2, 2, 3), 1 / 3))


def test_one_hot_targets_for_the_sparse_form_are_refused():
    with pytest.raises(ValueError, match=r"one-hot .*without 'sparse'.*\(4, 3\)"):
        losses.SparseCategoricalCrossentropy()(ONE_HOT, PROBABILITIES)


@pytest.mark.parametrize("loss", [losses.BinaryCrossentropy, losses.CategoricalCrossentropy])
def test_label_smoothing_is_a_share(loss):
    with pytest.raises(ValueError, match=r"from 0 to 1\. Received: 1\.5"):
        loss(label_smoothing=1.5)
