"""Precision, recall, F1, confusion matrix and mean IoU against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score, precision_score, recall_score

from distfit import metrics

RNG = np.random.default_rng(2)
BINARY = RNG.integers(0, 2, 50)
SCORES = RNG.random(50)
LABELS = RNG.integers(0, 4, 50)
CLASS_SCORES = RNG.random((50, 4))
PREDICTED = CLASS_SCORES.argmax(axis=1)
W = RNG.uniform(0.1, 2, 50)


def result(metric, y_true, y_pred, sample_weight=None):
    metric.update_state(y_true, y_pred, sample_weight)
    return metric.result()


@pytest.mark.parametrize("weight", [None, W])
@pytest.mark.parametrize(
    ("metric", "reference"), [(metrics.Precision, precision_score), (metrics.Recall, recall_score)]
)
def test_precision_and_recall_agree_with_scikit_learn(metric, reference, weight):
    expected = [reference(BINARY, np.greater(SCORES, t), sample_weight=weight) for t in (0.3, 0.5, 0.8)]
    assert result(metric(), BINARY, SCORES[:, None], weight) == pytest.approx(expected[1])
    np.testing.assert_allclose(result(metric([0.3, 0.5, 0.8]), BINARY, SCORES, weight), expected)


def test_one_class_of_several():
    one_hot = np.eye(4)[LABELS]
    expected = recall_score(LABELS == 2, CLASS_SCORES[:, 2] > 0.5)
    assert result(metrics.Recall(class_id=2), one_hot, CLASS_SCORES) == pytest.approx(expected)


def test_only_the_largest_k_of_a_row_are_positive():
    y_true, y_pred = [[0, 1, 1, 0]], [[0.1, 0.9, 0.3, 0.4]]
    assert result(metrics.Precision(top_k=2), y_true, y_pred) == 0.5
    assert result(metrics.Recall(top_k=3), y_true, y_pred) == 1.0
    assert result(metrics.Precision(0.5, top_k=2), y_true, y_pred) == 1.0


def test_a_prediction_at_the_threshold_is_not_above_it_in_its_own_type():
    seven_tenths = np.array([0.7], np.float32)
    assert result(metrics.Recall(0.7), [1], seven_tenths) == 0.0


@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
@pytest.mark.parametrize("weight", [None, W])
def test_f1_agrees_with_scikit_learn(average, weight):
    expected = f1_score(LABELS, PREDICTED, average=average, sample_weight=weight)
    one_hot = np.eye(4)[LABELS]
    np.testing.assert_allclose(result(metrics.F1Score(average), one_hot, CLASS_SCORES, weight), expected)


@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
def test_f1_of_several_labels_a_row(average):
    several = RNG.integers(0, 2, (50, 4))
    expected = f1_score(several, CLASS_SCORES > 0.6, average=average)
    np.testing.assert_allclose(result(metrics.F1Score(average, 0.6), several, CLASS_SCORES), expected)


def test_f1_of_one_output_needs_a_threshold():
    with pytest.raises(ValueError, match=r"give threshold=0\.5"):
        result(metrics.F1Score(), BINARY[:, None], SCORES[:, None])
    ours = result(metrics.F1Score(threshold=0.5), BINARY[:, None], SCORES[:, None])
    assert ours.shape == (1,)
    assert ours[0] == pytest.approx(f1_score(BINARY, SCORES > 0.5))


@pytest.mark.parametrize("weight", [None, W])
def test_confusion_matrix_and_mean_iou_agree_with_scikit_learn(weight):
    expected = confusion_matrix(LABELS, PREDICTED, sample_weight=weight)
    np.testing.assert_allclose(result(metrics.ConfusionMatrix(4), LABELS, PREDICTED, weight), expected)
    from_scores = metrics.ConfusionMatrix(4, sparse_y_true=False, sparse_y_pred=False)
    np.testing.assert_allclose(result(from_scores, np.eye(4)[LABELS], CLASS_SCORES, weight), expected)
    expected = jaccard_score(LABELS, PREDICTED, average="macro", sample_weight=weight)
    assert result(metrics.MeanIoU(4), LABELS, PREDICTED, weight) == pytest.approx(expected)


def test_classes_that_do_not_occur_are_left_out_of_the_mean():
    assert result(metrics.MeanIoU(5), [0, 0, 1], [0, 1, 1]) == 0.5


def test_pixels_of_a_row_share_its_weight():
    y_true, y_pred = [[[0, 1], [1, 1]]] * 2, [[[0, 1], [1, 0]]] * 2
    counts = result(metrics.ConfusionMatrix(2), y_true, y_pred, [2.0, 1.0])
    np.testing.assert_allclose(counts, [[3, 0], [3, 6]])


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: metrics.Precision(1.5), r"from 0 to 1\. Received: 1\.5"),
        (lambda: metrics.Recall(top_k=0), "Received: 0"),
        (lambda: metrics.F1Score("mean"), "Received: 'mean'"),
        (lambda: metrics.F1Score(threshold=0), "Received: 0"),
        (lambda: metrics.ConfusionMatrix(0), "Received: 0"),
        (lambda: result(metrics.MeanIoU(4), LABELS, CLASS_SCORES), "sparse_y_pred=False"),
        (lambda: result(metrics.MeanIoU(2), [0, 1], [0, 2]), "Received: 2 in row 1"),
    ],
)
def test_wrong_arguments_are_named(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()
