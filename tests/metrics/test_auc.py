"""The area under curves, against scikit-learn and calculation by hand."""

import numpy as np
import pytest
from scipy.special import logit
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score

from distfit import metrics

RNG = np.random.default_rng(3)
Y = RNG.integers(0, 2, 300)
# In the middle between two of the 200 thresholds, so that predictions of one interval are equal.
ON_GRID = (np.clip(RNG.normal(0.4 + 0.2 * Y, 0.2), 0, 0.99) * 199).astype(int) / 199 + 0.5 / 199
W = RNG.uniform(0.1, 2, 300)


def result(metric, y_true, y_pred, sample_weight=None):
    metric.update_state(y_true, y_pred, sample_weight)
    return metric.result()


@pytest.mark.parametrize("weight", [None, W])
def test_roc_agrees_with_scikit_learn(weight):
    expected = roc_auc_score(Y, ON_GRID, sample_weight=weight)
    assert result(metrics.AUC(), Y, ON_GRID, weight) == pytest.approx(expected, abs=1e-12)
    assert result(metrics.AUC(), Y[:, None], ON_GRID[:, None], weight) == pytest.approx(expected, abs=1e-12)


def test_scores_between_thresholds_cost_little():
    scores = RNG.random(300)
    assert result(metrics.AUC(), Y, scores) == pytest.approx(roc_auc_score(Y, scores), abs=1 / 200)


def test_logits_and_float32():
    expected = roc_auc_score(Y, ON_GRID)
    assert result(metrics.AUC(from_logits=True), Y, logit(ON_GRID)) == pytest.approx(expected, abs=1e-12)
    assert result(metrics.AUC(), Y, ON_GRID.astype(np.float32)) == pytest.approx(expected, abs=1e-12)
    assert result(metrics.AUC(from_logits=True), [0, 1], [-1e30, 1e30]) == 1.0


def test_pr_lies_between_its_bounds_and_near_scikit_learn():
    precision, recall, _ = precision_recall_curve(Y, ON_GRID)
    lower, middle, upper = (
        result(metrics.AUC(curve="PR", summation_method=method), Y, ON_GRID)
        for method in ("minoring", "interpolation", "majoring")
    )
    assert lower <= middle <= upper
    assert middle == pytest.approx(auc(recall, precision), abs=0.01)


def test_the_examples_of_keras():
    # From the class's documentation in Keras: thresholds -eps, 0.5 and 1 + eps.
    assert result(metrics.AUC(num_thresholds=3), [0, 0, 1, 1], [0, 0.5, 0.3, 0.9]) == pytest.approx(0.75)
    weighted = result(metrics.AUC(num_thresholds=3), [0, 0, 1, 1], [0, 0.5, 0.3, 0.9], [1, 0, 0, 1])
    assert weighted == pytest.approx(1.0)


def test_pr_interpolation_by_hand():
    # At -eps: tp 2, fp 2. At 0.5: tp 1, fp 0. At 1 + eps: none. From p = 1 to 4, tp = 2/3 + p/3.
    expected = ((1 + (2 / 3) * np.log(4)) / 3 + 1) / 2
    found = result(metrics.AUC(num_thresholds=3, curve="PR"), [0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("method", "expected"), [("minoring", 0.5), ("majoring", 1.0), ("interpolation", 0.75)]
)
def test_sides_of_the_intervals(method, expected):
    # ROC points (1, 1), (0, 1/2), (0, 0).
    metric = metrics.AUC(num_thresholds=3, summation_method=method)
    assert result(metric, [0, 0, 1, 1], [0, 0.5, 0.3, 0.9]) == pytest.approx(expected)


def test_own_thresholds_in_any_order():
    assert result(metrics.AUC(thresholds=[0.7, 0.2]), [0, 1, 0, 1], [0.1, 0.5, 0.6, 0.9]) == pytest.approx(
        0.875
    )


@pytest.mark.parametrize("y_true", [[1, 1], [0, 0]])
@pytest.mark.parametrize("curve", ["ROC", "PR"])
def test_one_kind_of_targets_is_no_error(y_true, curve):
    assert np.isfinite(result(metrics.AUC(curve=curve), y_true, [0.2, 0.7]))


@pytest.mark.parametrize("from_logits", [False, True])
def test_nan_lies_above_no_threshold(from_logits):
    assert result(metrics.AUC(from_logits=from_logits), [0, 1], [np.nan, 0.9]) == 1.0


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: metrics.AUC(curve="roc"), "Received: 'roc'"),
        (lambda: metrics.AUC(summation_method="simpson"), "Received: 'simpson'"),
        (lambda: metrics.AUC(num_thresholds=1), "Received: 1"),
        (lambda: metrics.AUC(thresholds=[0.5, 2.0]), r"Received: \[0\.5, 2\.0\]"),
        (
            lambda: result(metrics.AUC(), [0, 1], [-3.0, 0.5]),
            r"from_logits=True\. Received: from -3\.0 to 0\.5",
        ),
    ],
)
def test_wrong_arguments_are_named(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()
