"""Promise 2: metrics are those of all rows, at any number of ranks, and not a mean of the ranks' means."""

from typing import Any

import numpy as np
import pytest
import sklearn.metrics as reference

from distfit import Sequential, data, layers, metrics
from distfit.callbacks import Callback
from distfit.comm import Communicator

ROWS, CLASSES = 1003, 4


def scores() -> tuple[np.ndarray, np.ndarray]:
    """Return scores of classes, in steps of 1/64 so that thresholds lie between, and one-hot targets."""
    generator = np.random.default_rng(8)
    labels = generator.integers(0, CLASSES, ROWS)
    x = generator.integers(0, 65, (ROWS, CLASSES)) / 64.0
    x[np.arange(ROWS), labels] = np.minimum(1.0, x[np.arange(ROWS), labels] + 0.25)
    return x + np.arange(CLASSES) / 1024, np.eye(CLASSES)[labels]  # of two classes, one is ahead


X, Y = scores()
LABELS, CHOSEN = Y.argmax(axis=1), X.argmax(axis=1)


def identity(comm: Communicator, width: int, **compiled: Any) -> Sequential:
    """Return a model that predicts its input."""
    model = Sequential([layers.Activation("linear", input_shape=(width,))], comm=comm)
    model.compile(loss="mse", **compiled)
    return model


def evaluated(comm: Communicator, x: np.ndarray, y: np.ndarray, metric: Any, **options: Any) -> Any:
    model = identity(comm, x.shape[1], metrics=[metric])
    values = model.evaluate(x, y, batch_size=64, verbose=0, return_dict=True, **options)
    return values["value"]


# Where thresholds lie between all predictions, the area over them is that over all of them.
THRESHOLDS = list(np.arange(0.5, 64) / 64.0)
EXACT = {
    "auc": (
        lambda: metrics.AUC(thresholds=THRESHOLDS, name="value"),
        X[:, :1],
        Y[:, :1],
        lambda: reference.roc_auc_score(Y[:, 0], X[:, 0]),
    ),
    "precision": (
        lambda: metrics.Precision(thresholds=0.5, name="value"),
        X[:, :1],
        Y[:, :1],
        lambda: reference.precision_score(Y[:, 0], X[:, 0] > 0.5),
    ),
    "recall": (
        lambda: metrics.Recall(thresholds=0.5, name="value"),
        X[:, :1],
        Y[:, :1],
        lambda: reference.recall_score(Y[:, 0], X[:, 0] > 0.5),
    ),
    "f1 macro": (
        lambda: metrics.F1Score(average="macro", name="value"),
        X,
        Y,
        lambda: reference.f1_score(LABELS, CHOSEN, average="macro"),
    ),
    "f1 by class": (
        lambda: metrics.F1Score(name="value"),
        X,
        Y,
        lambda: reference.f1_score(LABELS, CHOSEN, average=None),
    ),
    "confusion matrix": (
        lambda: metrics.ConfusionMatrix(CLASSES, sparse_y_true=False, sparse_y_pred=False, name="value"),
        X,
        Y,
        lambda: reference.confusion_matrix(LABELS, CHOSEN),
    ),
    "accuracy": (
        lambda: metrics.CategoricalAccuracy(name="value"),
        X,
        Y,
        lambda: reference.accuracy_score(LABELS, CHOSEN),
    ),
    "root mean squared error": (
        lambda: metrics.RootMeanSquaredError(name="value"),
        X,
        Y,
        lambda: reference.root_mean_squared_error(Y.ravel(), X.ravel()),
    ),
    "r2": (
        lambda: metrics.R2Score(name="value"),
        X,
        Y,
        lambda: reference.r2_score(Y, X),
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_metrics_are_those_of_scikit_learn(comm: Communicator, name: str) -> None:
    make, x, y, expected = EXACT[name]
    value = evaluated(comm, x, y, make())
    np.testing.assert_allclose(value, expected(), rtol=1e-12)
    np.testing.assert_allclose(value, evaluated(Communicator.alone(), x, y, make()), rtol=1e-12)


def test_metrics_of_unequal_parts_are_those_of_the_whole(comm: Communicator) -> None:
    make, x, y, expected = EXACT["f1 macro"]
    edges = np.cumsum([0, *[0, 700, 3, 300][: comm.size]])
    edges[-1] = ROWS
    part = slice(edges[comm.rank], edges[comm.rank + 1])
    model = identity(comm, CLASSES, metrics=[make()])
    values = model.evaluate(
        data.LocalPart(x[part]), data.LocalPart(y[part]), batch_size=64, verbose=0, return_dict=True
    )
    np.testing.assert_allclose(values["value"], expected(), rtol=1e-12)


def test_the_loss_is_the_mean_over_rows_whatever_the_batches(comm: Communicator) -> None:
    model = identity(comm, CLASSES)
    for batch_size in (1000, 17, 5000):
        loss = model.evaluate(X, Y, batch_size=batch_size, verbose=0)
        np.testing.assert_allclose(loss, np.mean((X - Y) ** 2), rtol=1e-12)


def test_weights_count_for_the_loss_and_weighted_metrics_alone(comm: Communicator) -> None:
    weight = np.random.default_rng(1).choice([0.5, 1.0, 2.0], ROWS)
    model = identity(
        comm, CLASSES, metrics=["mae"], weighted_metrics=[metrics.MeanSquaredError(name="weighted")]
    )
    values = model.evaluate(X, Y, sample_weight=weight, batch_size=64, verbose=0, return_dict=True)
    errors = X - Y
    assert list(values) == ["loss", "mae", "weighted"]
    np.testing.assert_allclose(values["loss"], np.mean(weight[:, None] * errors**2), rtol=1e-12)
    np.testing.assert_allclose(values["mae"], np.abs(errors).mean(), rtol=1e-12)
    np.testing.assert_allclose(
        values["weighted"], np.average((errors**2).mean(axis=1), weights=weight), rtol=1e-12
    )


class Largest(metrics.Metric):
    """The largest error of any row: a state that is a maximum, and no sum."""

    def __init__(self, name: str = "largest") -> None:
        super().__init__(name, direction="min")
        self.fields = {"error": metrics.Field((), "max")}

    def measure(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        return {"error": np.abs(y_true - y_pred).max()}

    def compute(self, state: Any) -> float:
        return float(state["error"])


class Keys(Callback):
    def __init__(self) -> None:
        self.batch: list[str] = []
        self.epoch: dict[str, Any] = {}
        self.test: dict[str, Any] = {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batch = list(logs)

    def on_test_end(self, logs: Any = None) -> None:
        self.test = dict(logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch = dict(logs)


def large() -> metrics.ConfusionMatrix:
    """Return a metric of 1,600 numbers: more than the small message holds."""
    return metrics.ConfusionMatrix(40, sparse_y_true=False, sparse_y_pred=False, name="large")


def test_metrics_that_no_step_carries_stand_in_the_logs_of_epochs(comm: Communicator) -> None:
    generator = np.random.default_rng(2)
    x, labels = (
        generator.permuted(np.tile(np.arange(40) / 8, (203, 1)), axis=1),
        generator.integers(0, 40, 203),
    )
    y = np.eye(40)[labels]
    model = Sequential([layers.Rescaling(1.0, input_shape=(40,))], comm=comm)
    model.compile(loss="mse", metrics=[large(), "mae", Largest()])
    keys = Keys()
    model.fit(x, y, batch_size=32, callbacks=[keys], validation_split=0.2, verbose=0)
    assert keys.batch == ["loss", "mae"]
    assert list(keys.epoch) == sorted(
        [f"{prefix}{name}" for prefix in ("", "val_") for name in ("loss", "large", "mae", "largest")]
    )
    split = int(203 * 0.8)
    for prefix, part in (("", slice(0, split)), ("val_", slice(split, None))):
        counts = reference.confusion_matrix(labels[part], x[part].argmax(axis=1), labels=range(40))
        np.testing.assert_array_equal(keys.epoch[f"{prefix}large"], counts)
        np.testing.assert_allclose(
            keys.epoch[f"{prefix}largest"], np.abs(x[part] - y[part]).max(), rtol=1e-12
        )
    values = model.evaluate(x, y, verbose=0)
    assert len(values) == 4  # in the order of compile
    np.testing.assert_array_equal(
        values[1], reference.confusion_matrix(labels, x.argmax(axis=1), labels=range(40))
    )
    np.testing.assert_allclose(values[3], np.abs(x - y).max(), rtol=1e-12)


def test_an_evaluation_leaves_the_metrics_of_a_training_alone(comm: Communicator) -> None:
    class Between(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 0:
                self.model.evaluate(X, 5 + Y, verbose=0)

    def loss(*callbacks: Callback) -> list[float]:
        model = identity(comm, CLASSES)
        model.fit(X, Y, batch_size=100, callbacks=list(callbacks), verbose=0)
        history: list[float] = model.history.history["loss"]
        return history

    assert loss(Between()) == loss()


def test_the_form_of_what_evaluate_returns(comm: Communicator) -> None:
    loss = identity(comm, CLASSES).evaluate(X, Y, verbose=0)
    assert isinstance(loss, float)
    assert identity(comm, CLASSES, metrics=["mae"]).evaluate(X, Y, verbose=0)[0] == loss
    assert identity(comm, CLASSES).evaluate(X, Y, verbose=0, return_dict=True) == {"loss": loss}


def test_steps_bound_an_evaluation(comm: Communicator) -> None:
    loss = identity(comm, CLASSES).evaluate(X, Y, batch_size=10, steps=3, verbose=0)
    np.testing.assert_allclose(loss, np.mean((X[:30] - Y[:30]) ** 2), rtol=1e-12)


def test_an_evaluation_of_nothing_is_an_error(comm: Communicator) -> None:
    with pytest.raises(ValueError, match="yields no batch"):
        identity(comm, CLASSES).evaluate(iter([]), verbose=0)
