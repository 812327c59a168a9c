"""Metrics by name, as compile takes them."""

import numpy as np
import pytest

from distfit import losses, metrics


@pytest.mark.parametrize("name", metrics.KNOWN)
def test_every_name_makes_a_metric_that_stands_under_it_in_logs(name):
    metric = metrics.get(name)
    assert isinstance(metric, metrics.Metric)
    assert metric.name == name
    again = type(metric).from_config(metric.get_config())
    assert again.get_config() == metric.get_config()


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (losses.BinaryCrossentropy(from_logits=True, name="other"), metrics.BinaryAccuracy),
        (losses.CategoricalCrossentropy(), metrics.CategoricalAccuracy),
        (losses.SparseCategoricalCrossentropy(), metrics.SparseCategoricalAccuracy),
        (losses.MeanSquaredError(), metrics.InferredAccuracy),
        (None, metrics.InferredAccuracy),
    ],
)
@pytest.mark.parametrize("name", ["accuracy", "acc"])
def test_accuracy_is_that_of_the_loss(loss, expected, name):
    metric = metrics.get(name, loss=loss)
    assert type(metric) is expected
    assert metric.name == name


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (metrics.Accuracy(), "accuracy"),
        (metrics.BinaryAccuracy(), "binary_accuracy"),
        (metrics.TopKCategoricalAccuracy(), "top_k_categorical_accuracy"),
        (metrics.AUC(), "auc"),
        (metrics.MeanIoU(2), "mean_io_u"),
        (metrics.F1Score(), "f1_score"),
        (metrics.R2Score(), "r2_score"),
        (metrics.Precision(), "precision"),
        (metrics.RootMeanSquaredError(), "root_mean_squared_error"),
    ],
)
def test_default_names_are_those_of_keras(metric, name):
    assert metric.name == name


def test_larger_is_better_but_for_errors():
    smaller = {name for name in metrics.KNOWN if metrics.get(name).direction == "min"}
    assert {type(metrics.get(name)).__name__ for name in smaller} == {
        "MeanSquaredError",
        "RootMeanSquaredError",
        "MeanAbsoluteError",
    }


def test_objects_and_classes():
    metric = metrics.AUC(name="area")
    assert metrics.get(metric) is metric
    assert isinstance(metrics.get(metrics.AUC), metrics.AUC)


def test_a_function_becomes_its_mean():
    def distance(y_true, y_pred):
        return np.abs(y_pred - y_true)

    metric = metrics.get(distance)
    metric.update_state([1.0, 2.0], [[1.0], [4.0]])
    assert metric.name == "distance"
    assert metric.result() == 1.0


def test_a_function_that_takes_the_mean_itself_is_refused():
    metric = metrics.get(lambda y_true, y_pred: np.mean(y_pred))
    with pytest.raises(ValueError, match=r"one value for each of 3 rows, and not their mean"):
        metric.update_state(np.zeros(3), np.zeros(3))


def test_metrics_with_a_value_for_each_output_are_built():
    assert metrics.get("f1_score", output_shape=(4,)).fields["true_positives"].shape == (4,)
    assert metrics.get("r2_score", output_shape=()).fields["total"].shape == (1,)


def test_a_typo_is_answered_with_the_near_name():
    with pytest.raises(ValueError, match=r"unknown metric 'acuracy'\. Did you mean 'accuracy'"):
        metrics.get("acuracy")


@pytest.mark.parametrize("given", [metrics.Mean(), 3, None])
def test_what_compares_nothing_is_refused(given):
    with pytest.raises(ValueError, match=r"metrics\.Sum take values.*Received: "):
        metrics.get(given)
