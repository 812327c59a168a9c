"""What every metric holds to, whatever it measures: states merge, and no rows are 0."""

import inspect
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distfit import metrics

CLASSES = 3


class Largest(metrics.Metric):
    """A user's own, whose state is no sum."""

    def __init__(self, name="largest"):
        super().__init__(name)
        self.fields = {"largest": metrics.Field((), "max"), "smallest": metrics.Field((2,), "min")}

    def measure(self, y_true, y_pred, sample_weight):
        error = np.abs(y_true - y_pred)
        return {"largest": error.max(initial=-np.inf), "smallest": np.full(2, error.min(initial=np.inf))}

    def compute(self, state):
        return float(state["largest"]) + float(state["smallest"][0])


def numbers(rng, rows):
    return rng.standard_normal((rows, CLASSES)), rng.standard_normal((rows, CLASSES)).astype(np.float32)


def scores(rng, rows):
    return rng.integers(0, 2, (rows, CLASSES)), rng.random((rows, CLASSES)).astype(np.float32)


def one_hot(rng, rows):
    return np.eye(CLASSES)[rng.integers(0, CLASSES, rows)], rng.random((rows, CLASSES))


def sparse(rng, rows):
    return rng.integers(0, CLASSES, rows).astype(np.uint8), rng.random((rows, CLASSES))


def classes(rng, rows):
    return rng.integers(0, CLASSES, rows), rng.integers(0, CLASSES, rows)


CASES = [
    (metrics.Accuracy(), classes),
    (metrics.BinaryAccuracy(), scores),
    (metrics.CategoricalAccuracy(), one_hot),
    (metrics.SparseCategoricalAccuracy(), sparse),
    (metrics.InferredAccuracy(), sparse),
    (metrics.TopKCategoricalAccuracy(2), one_hot),
    (metrics.SparseTopKCategoricalAccuracy(2), sparse),
    (metrics.MeanSquaredError(), numbers),
    (metrics.RootMeanSquaredError(), numbers),
    (metrics.MeanAbsoluteError(), numbers),
    (metrics.R2Score(), numbers),
    (metrics.R2Score(class_aggregation=None), numbers),
    (metrics.R2Score("variance_weighted_average", num_regressors=1), numbers),
    (metrics.Precision(), scores),
    (metrics.Precision([0.3, 0.6], class_id=1), scores),
    (metrics.Precision(top_k=2), scores),
    (metrics.Recall(), scores),
    (metrics.F1Score(), one_hot),
    (metrics.F1Score("macro", 0.5), scores),
    (metrics.F1Score("micro", 0.5), scores),
    (metrics.F1Score("weighted"), one_hot),
    (metrics.AUC(), scores),
    (metrics.AUC(curve="PR"), scores),
    (metrics.ConfusionMatrix(CLASSES), classes),
    (metrics.MeanIoU(CLASSES, sparse_y_pred=False), sparse),
    (metrics.MeanMetricWrapper(lambda y_true, y_pred: y_true * y_pred, name="product"), numbers),
    (Largest(), numbers),
]
IDS = [f"{metric.name}-{i}" for i, (metric, _) in enumerate(CASES)]


def test_every_metric_is_among_the_cases():
    found = {c for c in vars(metrics).values() if inspect.isclass(c) and issubclass(c, metrics.Metric)}
    concrete = {c for c in found if not inspect.isabstract(c)}
    assert concrete <= {type(metric) for metric, _ in CASES}


@pytest.mark.parametrize(("metric", "draw"), CASES, ids=IDS)
@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**16),
    cuts=st.lists(st.integers(0, 12), max_size=3),
    weighted=st.booleans(),
)
def test_merged_parts_are_the_whole_for_any_split(metric, draw, seed, cuts, weighted):
    rng = np.random.default_rng(seed)
    y_true, y_pred = draw(rng, 12)
    weight = rng.uniform(0, 3, 12) if weighted else None
    metric.build(y_pred.shape[1:])
    bounds = [0, *sorted(cuts), 12]
    state = metric.zero()
    for start, stop in pairwise(bounds):
        part = metric.measure(
            y_true[start:stop], y_pred[start:stop], None if weight is None else weight[start:stop]
        )
        state = metric.merge(state, part)
    whole = metric.measure(y_true, y_pred, weight)
    for name, field in metric.fields.items():
        assert np.shape(whole[name]) == field.shape
        np.testing.assert_allclose(state[name], whole[name], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(metric.compute(state), metric.compute(whole), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("metric", "draw"), CASES[:-1], ids=IDS[:-1])
def test_no_rows_are_zero(metric, draw):
    metric.build((CLASSES,))
    result = metric.compute(metric.zero())
    np.testing.assert_array_equal(result, np.zeros(np.shape(result)))
    assert isinstance(result, (float, np.ndarray))


@pytest.mark.parametrize(("metric", "draw"), CASES, ids=IDS)
def test_batches_add_up_and_are_forgotten(metric, draw):
    rng = np.random.default_rng(5)
    y_true, y_pred = draw(rng, 10)
    metric.reset_state()
    metric.update_state(y_true[:4].tolist(), y_pred[:4].tolist())
    metric.update_state(y_true[4:].tolist(), y_pred[4:].tolist())
    result = metric.result()
    assert isinstance(result, (float, np.ndarray))
    np.testing.assert_allclose(result, metric.compute(metric.measure(y_true, y_pred, None)), rtol=1e-6)
    metric.reset_state()
    np.testing.assert_array_equal(metric.result(), metric.compute(metric.zero()))


@pytest.mark.parametrize(("metric", "draw"), CASES[:-1], ids=IDS[:-1])
def test_a_weight_counts_a_row_so_many_times(metric, draw):
    rng = np.random.default_rng(6)
    y_true, y_pred = draw(rng, 6)
    counts = np.array([2, 1, 0, 3, 1, 1])
    metric.build(y_pred.shape[1:])
    weighted = metric.compute(metric.measure(y_true, y_pred, counts.astype(float)))
    repeated = metric.measure(np.repeat(y_true, counts, axis=0), np.repeat(y_pred, counts, axis=0), None)
    np.testing.assert_allclose(weighted, metric.compute(repeated), rtol=1e-12)


@pytest.mark.parametrize(("metric", "draw"), CASES, ids=IDS)
def test_it_can_be_made_again(metric, draw):
    again = type(metric).from_config(metric.get_config())
    assert (again.name, again.direction) == (metric.name, metric.direction)


@pytest.mark.parametrize(("metric", "draw"), CASES, ids=IDS)
def test_inputs_stay_as_they_were(metric, draw):
    y_true, y_pred = draw(np.random.default_rng(1), 5)
    copies = y_true.copy(), y_pred.copy()
    metric.build(y_pred.shape[1:])
    metric.measure(y_true, y_pred, np.ones(5))
    np.testing.assert_array_equal(y_true, copies[0])
    np.testing.assert_array_equal(y_pred, copies[1])


@pytest.mark.parametrize("shape", [(4,), (4, 1), ()])
def test_weights_are_a_line_a_column_or_one_number(shape):
    metric = metrics.MeanAbsoluteError()
    metric.update_state(np.zeros(4), np.arange(4.0), sample_weight=np.full(shape, 2.0))
    assert metric.result() == 1.5
    assert metric.state()["count"] == 8.0


def test_a_wrong_number_of_weights_is_refused():
    with pytest.raises(ValueError, match=r"each of 4 rows. Received: \(3,\)"):
        metrics.MeanAbsoluteError().update_state(np.zeros(4), np.zeros(4), sample_weight=np.ones(3))
