"""Accuracies by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from distfit import metrics

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 6, 40)
SCORES = RNG.random((40, 6))


def result(metric, y_true, y_pred, **kwargs):
    metric.update_state(y_true, y_pred, **kwargs)
    return metric.result()


def test_sparse_and_categorical_agree_with_scikit_learn():
    expected = accuracy_score(LABELS, SCORES.argmax(axis=1))
    assert result(metrics.SparseCategoricalAccuracy(), LABELS, SCORES) == pytest.approx(expected)
    assert result(metrics.SparseCategoricalAccuracy(), LABELS[:, None], SCORES) == pytest.approx(expected)
    assert result(metrics.SparseCategoricalAccuracy(), LABELS.astype(float), SCORES) == pytest.approx(
        expected
    )
    assert result(metrics.CategoricalAccuracy(), np.eye(6)[LABELS], SCORES) == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_agrees_with_scikit_learn(k):
    expected = top_k_accuracy_score(LABELS, SCORES, k=k, labels=range(6)) if k < 6 else 1.0
    assert result(metrics.SparseTopKCategoricalAccuracy(k), LABELS, SCORES) == pytest.approx(expected)
    assert result(metrics.TopKCategoricalAccuracy(k), np.eye(6)[LABELS], SCORES) == pytest.approx(expected)


@pytest.mark.parametrize("k", [6, 100])
def test_all_are_right_where_k_is_all_classes(k):
    assert result(metrics.SparseTopKCategoricalAccuracy(k), LABELS, SCORES) == 1.0


def test_ties_at_the_last_place_count_and_nan_does_not():
    assert result(metrics.SparseTopKCategoricalAccuracy(1), [1], [[0.5, 0.5, 0.0]]) == 1.0
    assert result(metrics.SparseTopKCategoricalAccuracy(2), [1], [[0.5, np.nan, 0.0]]) == 0.0


def test_top_k_needs_labels_in_range_and_a_positive_k():
    with pytest.raises(ValueError, match="Received: 6 in row 1"):
        result(metrics.SparseTopKCategoricalAccuracy(), [0, 6], SCORES[:2])
    with pytest.raises(ValueError, match=r"at least 1\. Received: 0"):
        metrics.TopKCategoricalAccuracy(0)


def test_binary_accuracy_is_strict_about_its_threshold():
    assert result(metrics.BinaryAccuracy(), [1, 0, 1, 0], [[0.5], [0.5], [0.6], [0.7]]) == 0.5
    assert result(metrics.BinaryAccuracy(threshold=0.65), [1, 0, 1, 0], [0.5, 0.5, 0.6, 0.7]) == 0.25
    assert result(metrics.BinaryAccuracy(), [[1, 0], [1, 1]], [[0.9, 0.9], [0.9, 0.9]]) == 0.75


def test_weights_and_sequences():
    y_true, y_pred = [[0, 1], [1, 1]], [[[0.9, 0.1], [0.9, 0.1]], [[0.1, 0.9], [0.1, 0.9]]]
    assert result(metrics.SparseCategoricalAccuracy(), y_true, y_pred) == 0.75
    assert result(metrics.SparseCategoricalAccuracy(), y_true, y_pred, sample_weight=[1.0, 3.0]) == 0.875


@pytest.mark.parametrize(
    ("y_true", "y_pred", "expected"),
    [
        ([1, 0], [[0.9], [0.9]], 0.5),
        ([1, 0], [0.9, 0.1], 1.0),
        ([1, 0], [[0.1, 0.9], [0.1, 0.9]], 0.5),
        ([[1], [0]], [[0.1, 0.9], [0.1, 0.9]], 0.5),
        ([[0, 1], [1, 0]], [[0.1, 0.9], [0.9, 0.1]], 1.0),
    ],
)
def test_accuracy_is_inferred_from_shapes(y_true, y_pred, expected):
    assert result(metrics.InferredAccuracy(), y_true, y_pred) == expected


@pytest.mark.parametrize(
    "metric", [metrics.SparseCategoricalAccuracy(), metrics.SparseTopKCategoricalAccuracy()]
)
def test_one_hot_targets_are_refused_by_the_sparse_forms(metric):
    with pytest.raises(ValueError, match="without 'sparse'"):
        result(metric, np.eye(6)[LABELS], SCORES)


def test_labels_are_refused_by_the_categorical_form():
    with pytest.raises(ValueError, match=r"utils.to_categorical.*y_true of shape \(40,\)"):
        result(metrics.CategoricalAccuracy(), LABELS, SCORES)
