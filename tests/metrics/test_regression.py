"""Errors of numbers, and the coefficient of determination, against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score, root_mean_squared_error

from distfit import metrics

RNG = np.random.default_rng(1)
Y = RNG.standard_normal((30, 2)) * [1.0, 5.0] + [3.0, -2.0]
P = Y + 0.5 * RNG.standard_normal((30, 2))
W = RNG.uniform(0.1, 2, 30)


def result(metric, y_true, y_pred, sample_weight=None):
    metric.update_state(y_true, y_pred, sample_weight)
    return metric.result()


@pytest.mark.parametrize("weight", [None, W])
def test_errors_agree_with_scikit_learn(weight):
    for metric, reference in (
        (metrics.MeanSquaredError(), mean_squared_error),
        (metrics.MeanAbsoluteError(), mean_absolute_error),
    ):
        assert result(metric, Y, P, weight) == pytest.approx(reference(Y, P, sample_weight=weight))


def test_the_root_is_taken_of_the_mean_over_all_rows():
    metric = metrics.RootMeanSquaredError()
    metric.update_state([0.0], [3.0])
    metric.update_state([0.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    assert metric.result() == 1.5
    assert result(metrics.RootMeanSquaredError(), Y[:, 0], P[:, 0]) == pytest.approx(
        root_mean_squared_error(Y[:, 0], P[:, 0])
    )


def test_integers_and_columns():
    assert (
        result(metrics.MeanAbsoluteError(), np.array([0, 200], np.uint8), np.array([[200], [0]], np.uint8))
        == 200.0
    )


@pytest.mark.parametrize("weight", [None, W])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("uniform_average", "uniform_average"),
        ("variance_weighted_average", "variance_weighted"),
        (None, "raw_values"),
    ],
)
def test_r2_agrees_with_scikit_learn(ours, theirs, weight):
    expected = r2_score(Y, P, sample_weight=weight, multioutput=theirs)
    np.testing.assert_allclose(result(metrics.R2Score(ours), Y, P, weight), expected, rtol=1e-10)


def test_r2_of_one_output_in_one_axis():
    assert result(metrics.R2Score(), Y[:, 0], P[:, 0]) == pytest.approx(r2_score(Y[:, 0], P[:, 0]))


def test_adjusted_r2():
    plain = r2_score(Y[:, 0], P[:, 0])
    assert result(metrics.R2Score(num_regressors=3), Y[:, :1], P[:, :1]) == pytest.approx(
        1 - (1 - plain) * 29 / 26
    )
    assert result(metrics.R2Score(num_regressors=29), Y[:, :1], P[:, :1]) == pytest.approx(plain)


@pytest.mark.parametrize("aggregation", ["uniform_average", "variance_weighted_average"])
def test_targets_that_do_not_vary(aggregation):
    constant = np.full((7, 1), 0.1)
    assert result(metrics.R2Score(aggregation), constant, constant) == 1.0
    assert result(metrics.R2Score(aggregation), constant, constant + 1) == 0.0


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"class_aggregation is one of .* Received: 'mean'"):
        metrics.R2Score("mean")
    with pytest.raises(ValueError, match="Received: -1"):
        metrics.R2Score(num_regressors=-1)
