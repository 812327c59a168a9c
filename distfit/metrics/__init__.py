"""Metrics under Keras's names, as mergeable state."""

from distfit.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    InferredAccuracy,
    SparseCategoricalAccuracy,
)
from distfit.metrics.auc import AUC
from distfit.metrics.confusion_matrix import ConfusionMatrix, MeanIoU
from distfit.metrics.f1_score import F1Score
from distfit.metrics.known import KNOWN, get
from distfit.metrics.mean import Mean, Sum
from distfit.metrics.mean_metric import MeanMetric, MeanMetricWrapper
from distfit.metrics.metric import Metric
from distfit.metrics.precision_recall import Precision, Recall
from distfit.metrics.r2_score import R2Score
from distfit.metrics.regression import MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError
from distfit.metrics.statistic import Field, State, Statistic
from distfit.metrics.top_k_accuracy import SparseTopKCategoricalAccuracy, TopKCategoricalAccuracy

__all__ = [
    "AUC",
    "KNOWN",
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "ConfusionMatrix",
    "F1Score",
    "Field",
    "InferredAccuracy",
    "Mean",
    "MeanAbsoluteError",
    "MeanIoU",
    "MeanMetric",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "State",
    "Statistic",
    "Sum",
    "TopKCategoricalAccuracy",
    "get",
]
