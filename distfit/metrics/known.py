"""Metrics by the names that Keras gives them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from distfit.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    InferredAccuracy,
    SparseCategoricalAccuracy,
)
from distfit.metrics.auc import AUC
from distfit.metrics.f1_score import F1Score
from distfit.metrics.mean_metric import MeanMetricWrapper
from distfit.metrics.metric import Metric
from distfit.metrics.precision_recall import Precision, Recall
from distfit.metrics.r2_score import R2Score
from distfit.metrics.regression import MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError
from distfit.metrics.top_k_accuracy import SparseTopKCategoricalAccuracy, TopKCategoricalAccuracy
from distfit.utils.lookup import lookup

KNOWN: dict[str, Callable[..., Metric]] = {
    "accuracy": InferredAccuracy,
    "acc": InferredAccuracy,
    "Accuracy": Accuracy,
    "binary_accuracy": BinaryAccuracy,
    "BinaryAccuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "CategoricalAccuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "SparseCategoricalAccuracy": SparseCategoricalAccuracy,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
    "TopKCategoricalAccuracy": TopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
    "SparseTopKCategoricalAccuracy": SparseTopKCategoricalAccuracy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "MeanSquaredError": MeanSquaredError,
    "root_mean_squared_error": RootMeanSquaredError,
    "rmse": RootMeanSquaredError,
    "RootMeanSquaredError": RootMeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "MeanAbsoluteError": MeanAbsoluteError,
    "r2_score": R2Score,
    "R2Score": R2Score,
    "precision": Precision,
    "Precision": Precision,
    "recall": Recall,
    "Recall": Recall,
    "f1_score": F1Score,
    "F1Score": F1Score,
    "auc": AUC,
    "AUC": AUC,
}

# By the class's name, as metrics know nothing of losses: what the targets look like under each.
_ACCURACY_OF_LOSS: dict[str, Callable[..., Metric]] = {
    "BinaryCrossentropy": BinaryAccuracy,
    "CategoricalCrossentropy": CategoricalAccuracy,
    "SparseCategoricalCrossentropy": SparseCategoricalAccuracy,
}


def get(identifier: Any, loss: Any = None, output_shape: tuple[int, ...] | None = None) -> Metric:
    """Return a metric from what `compile` takes.

    Args:
        identifier: one of Keras's names, under which the metric then stands in logs; a `Metric`, its class,
            or a function ``f(y_true, y_pred)`` that returns one value a row, of which the mean is taken.
        loss: the model's loss. ``"accuracy"`` and ``"acc"`` mean the accuracy that belongs to a
            cross-entropy; where the loss is another, `InferredAccuracy`.
        output_shape: of one row of the model's output, by which metrics with a value for each output are
            built.

    Raises:
        ValueError: for an unknown name, or for anything else.

    Ranks: local.

    Example:
        >>> from distfit import losses, metrics
        >>> metric = metrics.get("acc", loss=losses.SparseCategoricalCrossentropy())
        >>> metric.name, type(metric).__name__
        ('acc', 'SparseCategoricalAccuracy')
    """
    metric = _found(identifier, loss)
    if output_shape is not None:
        metric.build(output_shape)
    return metric


def _found(identifier: Any, loss: Any) -> Metric:
    if isinstance(identifier, str):
        accuracy = _ACCURACY_OF_LOSS.get(type(loss).__name__, InferredAccuracy)
        known = {**KNOWN, "accuracy": accuracy, "acc": accuracy}
        identifier = lookup(
            identifier, {k: partial(make, name=identifier) for k, make in known.items()}, "metric"
        )
    elif isinstance(identifier, type):
        identifier = identifier()
    if isinstance(identifier, Metric):
        return identifier
    if callable(identifier):
        return MeanMetricWrapper(identifier)
    raise ValueError(
        "a metric is given as a name, a Metric, its class, or a function of (y_true, y_pred); metrics.Mean"
        " and metrics.Sum take values, and belong in a custom loop."
        f" Received: {identifier!r} of type {type(identifier).__name__}"
    )
