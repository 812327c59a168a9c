"""Metrics of Keras that a user wrote."""

import keras
import numpy as np
import pytest

from distfit.engines.keras_metric import KerasMetric

ONES = np.ones((4, 1), "float32")


class Kept(keras.metrics.Metric):
    def __init__(self, update):
        super().__init__(name="kept")
        self.kept = self.add_weight(shape=(), initializer="zeros", name="kept")
        self.update = update

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.kept.assign(self.update(self.kept, y_pred))

    def result(self):
        return self.kept


def test_a_metric_that_returns_its_variable() -> None:
    metric = KerasMetric(Kept(lambda kept, y_pred: kept + keras.ops.sum(y_pred)))
    first, second = (metric.measure(ONES, ONES * value, None) for value in (0.5, 0.75))
    assert metric.compute({name: first[name] + second[name] for name in first}) == 5.0


def test_a_maximum_is_no_sum() -> None:
    metric = KerasMetric(Kept(lambda kept, y_pred: keras.ops.maximum(kept, keras.ops.max(y_pred))))
    with pytest.raises(TypeError, match="'kept' of the metric kept is no sum over rows"):
        metric.measure(ONES, ONES, None)
