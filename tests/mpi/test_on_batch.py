"""One global batch at a time, and the arguments of fit that say which batches there are: as one rank would."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support.small import line

from distfit import Sequential, config, data, errors, layers, optimizers, utils
from distfit.callbacks import Callback
from distfit.comm import Communicator

X, Y = line(11)


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    config.set_floatx("float64")
    yield
    config.set_floatx("float32")


def linear(comm: Communicator, **compiled: Any) -> Sequential:
    """Return ``y = x @ w + b`` with w = (1, 1) and b = 0, whose training is easily computed by hand."""
    model = Sequential([layers.Dense(1, kernel_initializer="ones", input_shape=(2,))], comm=comm)
    model.compile(**{"optimizer": optimizers.SGD(0.1), "loss": "mse", **compiled})
    return model


def descend(batches: Any, rate: float = 0.1) -> tuple[list[np.ndarray], list[float]]:
    """Train `linear` by hand: weights, and each batch's loss before its step.

    Batches are ``(x, y)`` or ``(x, y, weight)``; the weighted sum of squares is divided by the number of rows.
    """
    w, b, losses = np.ones((2, 1)), np.zeros(1), []
    for x, y, *weight in batches:
        weights = weight[0][:, None] if weight else np.ones((len(x), 1))
        error = x @ w + b - y
        losses.append(float((weights * error**2).sum() / len(x)))
        slope = 2 * weights * error / len(x)
        w, b = w - rate * x.T @ slope, b - rate * slope.sum(axis=0)
    return [w, b], losses


def assert_weights(model: Sequential, expected: list[np.ndarray]) -> None:
    for weight, other in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(weight, other, rtol=1e-10)


def parts(rows: int, comm: Communicator) -> slice:
    """Return unequal parts of some rows, one of them empty where there are several ranks."""
    edges = {1: [0, rows], 2: [0, 0, rows], 3: [0, 1, 1, rows], 4: [0, 2, 2, 3, rows]}[comm.size]
    return slice(min(edges[comm.rank], rows), min(edges[comm.rank + 1], rows))


SLICES = [slice(0, 4), slice(4, 8), slice(8, 11)]
BATCHES = [(X[s], Y[s]) for s in SLICES]


def test_train_on_batch(comm: Communicator) -> None:
    model = linear(comm)
    losses = [model.train_on_batch(x, y) for x, y in BATCHES]
    weights, expected = descend(BATCHES)
    np.testing.assert_allclose(losses, expected, rtol=1e-10)
    assert_weights(model, weights)


def test_train_on_batch_takes_weights_by_row_or_by_class(comm: Communicator) -> None:
    labels = np.array([[0.0], [1.0], [1.0], [2.0]])
    weight = np.array([1.0, 3.0, 3.0, 0.5])
    weights, losses = descend([(X[:4], labels, weight)])
    for options in ({"sample_weight": weight}, {"class_weight": {1: 3.0, 2: 0.5}}):
        model = linear(comm)
        np.testing.assert_allclose(model.train_on_batch(X[:4], labels, **options), losses[0], rtol=1e-10)
        assert_weights(model, weights)
    with pytest.raises(ValueError, match="sample_weight or class_weight, not both"):
        linear(comm).train_on_batch(X[:4], labels, sample_weight=weight, class_weight={1: 3.0})


def test_train_on_batch_of_parts(comm: Communicator) -> None:
    model = linear(comm)
    for x, y in BATCHES:
        part = parts(len(x), comm)
        model.train_on_batch(data.LocalPart(x[part]), data.LocalPart(y[part]))
    assert_weights(model, descend(BATCHES)[0])


def test_test_on_batch_and_predict_on_batch_change_nothing(comm: Communicator) -> None:
    model = linear(comm, metrics=["mae"])
    for _ in range(2):
        loss, mae = model.test_on_batch(X, Y)
        predicted = model.predict_on_batch(X)
    np.testing.assert_allclose(predicted, X.sum(axis=1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(loss, np.mean((predicted - Y) ** 2), rtol=1e-12)
    np.testing.assert_allclose(mae, np.mean(np.abs(predicted - Y)), rtol=1e-12)
    assert model.test_on_batch(X, Y, return_dict=True) == {"loss": loss, "mae": mae}
    assert_weights(model, descend([])[0])


def test_train_step_by_hand_with_unequal_and_empty_parts_is_fit(comm: Communicator) -> None:
    by_hand, fitted = linear(comm), linear(comm)
    for epoch in range(2):
        by_hand.reset_metrics()
        for x, y in BATCHES:
            part = parts(len(x), comm)
            logs = by_hand.train_step((x[part], y[part]))
        if epoch == 0:
            np.testing.assert_allclose(
                logs["loss"], np.average(descend(BATCHES)[1], weights=[4, 4, 3]), rtol=1e-10
            )
    fitted.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(fitted.history.history["loss"][-1], logs["loss"], rtol=1e-10)
    assert_weights(by_hand, descend(BATCHES * 2)[0])
    assert_weights(fitted, descend(BATCHES * 2)[0])


def test_accumulated_gradients_are_those_of_all_their_rows(comm: Communicator) -> None:
    """Two batches an update; what remains at the epoch's end is applied there, with its own number of rows."""
    model = linear(comm, gradient_accumulation_steps=2)
    model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    merged = [(X[:8], Y[:8]), (X[8:], Y[8:])]
    assert_weights(model, descend(merged * 2)[0])


class Calls(Callback):
    """Notes the batches' numbers that hooks are given, and the epochs'."""

    def __init__(self) -> None:
        self.begins: list[int] = []
        self.ends: list[int] = []
        self.tests: list[int] = []
        self.epochs: list[int] = []
        self.losses: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epochs.append(epoch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.begins.append(batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.ends.append(batch)
        self.losses.append(logs["loss"])

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.tests.append(batch)


@pytest.mark.parametrize(
    ("steps", "begins", "ends"),
    [(1, [0, 1, 2], [0, 1, 2]), (2, [0, 2], [1, 2]), (3, [0], [2]), (10, [0], [2])],
)
def test_steps_per_execution_bundles_hooks_and_changes_no_step(
    comm: Communicator, steps: int, begins: list[int], ends: list[int]
) -> None:
    """Keras: the begin hook gets the first step's number, the end hook the last one's."""
    calls = Calls()
    model = linear(comm, steps_per_execution=steps)
    model.fit(X, Y, batch_size=4, shuffle=False, callbacks=[calls], validation_data=(X, Y), verbose=0)
    assert (calls.begins, calls.ends, calls.tests) == (begins, ends, ends)
    assert_weights(model, descend(BATCHES)[0])


def test_logs_of_batches_are_running_means_over_rows(comm: Communicator) -> None:
    calls = Calls()
    linear(comm).fit(X, Y, batch_size=4, shuffle=False, callbacks=[calls], verbose=0)
    losses, rows = np.array(descend(BATCHES)[1]), np.array([4, 4, 3])
    np.testing.assert_allclose(calls.losses, np.cumsum(losses * rows) / np.cumsum(rows), rtol=1e-10)


def test_class_weights_of_a_fit_do_not_reach_its_validation(comm: Communicator) -> None:
    labels = np.arange(11.0)[:, None] % 2
    model = linear(comm, optimizer=optimizers.SGD(0.0))
    model.fit(X, labels, class_weight={1: 5.0}, validation_split=0.5, verbose=0)
    errors = (X.sum(axis=1, keepdims=True) - labels) ** 2
    weights = np.where(labels == 1, 5.0, 1.0)
    history = {name: values[0] for name, values in model.history.history.items()}
    np.testing.assert_allclose(history["loss"], np.mean((weights * errors)[:5]), rtol=1e-10)
    np.testing.assert_allclose(history["val_loss"], np.mean(errors[5:]), rtol=1e-10)


class Stream:
    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def test_class_weights_of_a_stream(comm: Communicator) -> None:
    labels = np.arange(11.0)[:, None] % 2
    weight = np.where(labels[:, 0] == 1, 5.0, 1.0)
    model = linear(comm)
    model.fit(Stream([(X[s], labels[s]) for s in SLICES]), class_weight={1: 5.0}, verbose=0)
    assert_weights(model, descend([(X[s], labels[s], weight[s]) for s in SLICES])[0])


def test_the_first_epoch_may_have_another_number(comm: Communicator) -> None:
    calls = Calls()
    model = linear(comm)
    model.fit(X, Y, batch_size=4, initial_epoch=3, epochs=5, callbacks=[calls], verbose=0)
    assert (calls.epochs, model.history.epoch) == ([3, 4], [3, 4])
    model.fit(X, Y, initial_epoch=5, epochs=5, verbose=0)
    assert model.history.epoch == []


def test_a_training_in_two_calls_visits_the_rows_of_one(comm: Communicator) -> None:
    """The order of an epoch is a function of seed and epoch, and of no call."""
    utils.set_random_seed(2)
    whole, halves = linear(comm), linear(comm)
    whole.fit(X, Y, batch_size=4, epochs=4, verbose=0)
    halves.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    halves.fit(X, Y, batch_size=4, initial_epoch=2, epochs=4, verbose=0)
    assert_weights(halves, whole.get_weights())


@pytest.mark.parametrize("steps", [2, 3, 5])
def test_epochs_of_a_given_number_of_steps_go_on_where_the_one_before_ended(
    comm: Communicator, steps: int
) -> None:
    visited = [BATCHES[i % 3] for i in range(2 * steps)]
    model = linear(comm)
    model.fit(X, Y, batch_size=4, epochs=2, steps_per_epoch=steps, shuffle=False, verbose=0)
    assert_weights(model, descend(visited)[0])
    model = linear(comm)
    model.fit(Stream(BATCHES), epochs=2, steps_per_epoch=steps, verbose=0)
    assert_weights(model, descend(visited)[0])


def test_a_generator_that_is_read_up_is_an_error(comm: Communicator) -> None:
    model = linear(comm)
    with pytest.raises(ValueError, match="A generator can be read only once"):
        model.fit(iter(BATCHES), epochs=2, verbose=0)
    assert_weights(model, descend(BATCHES)[0])  # the first epoch was trained


@pytest.mark.parametrize(("frequency", "due"), [(1, [0, 1, 2, 3]), (2, [1, 3]), (3, [2]), ([1, 4], [0, 3])])
def test_validation_frequency(comm: Communicator, frequency: Any, due: list[int]) -> None:
    seen: list[int] = []

    class Watch(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if "val_loss" in logs:
                seen.append(epoch)

    linear(comm).fit(
        X, Y, epochs=4, validation_data=(X, Y), validation_freq=frequency, callbacks=[Watch()], verbose=0
    )
    assert seen == due


FORMS = {
    "arrays": lambda: (X[:5], Y[:5]),
    "weighted": lambda: (X[:5], Y[:5], np.ones(5)),
    "stream": lambda: Stream([(X[:2], Y[:2]), (X[2:5], Y[2:5])]),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_validation_data(comm: Communicator, form: str) -> None:
    model = linear(comm, optimizer=optimizers.SGD(0.0))
    model.fit(X, Y, epochs=2, validation_data=FORMS[form](), verbose=0)
    expected = np.mean((X[:5].sum(axis=1, keepdims=True) - Y[:5]) ** 2)
    np.testing.assert_allclose(model.history.history["val_loss"], [expected] * 2, rtol=1e-10)


def test_validation_on_parts_that_ranks_hold(comm: Communicator) -> None:
    part = parts(11, comm)
    held = data.LocalPart((X[part], Y[part]))
    model = linear(comm, optimizer=optimizers.SGD(0.0))
    model.fit(X, Y, validation_data=held, validation_batch_size=4, verbose=0)
    expected = np.mean((X.sum(axis=1, keepdims=True) - Y) ** 2)
    np.testing.assert_allclose(model.history.history["val_loss"], [expected], rtol=1e-10)


def test_several_inputs(comm: Communicator) -> None:
    """The parts of a list may have rows of different shapes."""
    from distfit import Model

    left, right = layers.Input((2,), name="left"), layers.Input((1,), name="right")
    joined = layers.Concatenate()([left, right])
    forms: list[Any] = [[X, Y], (X, Y), {"right": Y, "left": X}]
    weights = []
    for x in forms:
        model = Model([left, right], layers.Dense(1, kernel_initializer="ones")(joined), comm=comm)
        model.compile(optimizer=optimizers.SGD(0.1), loss="mse")
        model.fit(x, Y, batch_size=4, shuffle=False, verbose=0)
        weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    w, b = np.ones((3, 1)), np.zeros(1)
    for s in SLICES:
        rows = np.concatenate([X[s], Y[s]], axis=1)
        slope = 2 * (rows @ w + b - Y[s]) / len(rows)
        w, b = w - 0.1 * rows.T @ slope, b - 0.1 * slope.sum(axis=0)
    for trained in weights:
        np.testing.assert_allclose(trained, np.concatenate([w.ravel(), b]), rtol=1e-10)


class Doubled(Sequential):
    """A model with Keras's idiom: `train_step` changes the rows, and calls the model's own."""

    def train_step(self, data):
        x, y = data  # also where this rank has no rows
        logs = super().train_step((2.0 * x, y))
        logs["rank"] = float(self.comm.rank)
        return logs


def doubled(comm, kind=Doubled):
    utils.set_random_seed(3)
    model = kind([layers.Dense(4, input_shape=(2,)), layers.Dropout(0.5), layers.Dense(1)], comm=comm)
    model.compile(optimizer="sgd", loss="mse")
    return model


def test_an_override_of_train_step_that_changes_the_rows(comm):
    x, y = np.linspace(-1.0, 1.0, 20).reshape(10, 2), np.linspace(0.0, 1.0, 10).reshape(10, 1)
    model, usual = doubled(comm), doubled(Communicator.alone(), Sequential)
    history = model.fit(x, y, batch_size=4, epochs=3, verbose=0).history
    expected = usual.fit(2.0 * x, y, batch_size=4, epochs=3, verbose=0).history
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    assert history["rank"] == [(comm.size - 1) / 2] * 3
    for weight, other in zip(model.get_weights(), usual.get_weights(), strict=True):
        np.testing.assert_allclose(weight, other, rtol=1e-4, atol=1e-6)


def test_an_override_of_train_step_that_forgets_the_models_own(comm):
    class Forgetful(Sequential):
        def train_step(self, data):
            return {"loss": 0.0}

    with pytest.raises(TypeError, match=r"Forgetful\.train_step has to call super"):
        doubled(comm, Forgetful).fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)


def test_a_loop_of_ones_own_after_a_fit_that_failed(comm):
    """What the failed fit had fetched is forgotten: the loop's logs and rows are its own."""

    class Fail(Callback):
        ranks = "root"

        def on_train_batch_begin(self, batch, logs=None):
            if batch == 1:
                self.model.optimizer.apply_part = broken

    def broken(*args, **options):
        raise ArithmeticError("update")

    x, y = line()
    model = doubled(comm, Sequential)
    apply = model.optimizer.apply_part
    with pytest.raises(ArithmeticError):
        model.fit(x, y, batch_size=4, verbose=0, callbacks=[Fail()])
    model.optimizer.apply_part = apply
    model.set_weights(model.get_weights())
    assert model.progress.fetched is None
    assert model.train_step((x, y))["loss"] > 0


@pytest.mark.ranks(2, 3)
def test_a_model_that_only_some_ranks_compiled_alike(comm):
    x, y = line()
    model = doubled(comm, Sequential)
    model.compile(optimizer="sgd" if comm.is_root else "adam", loss="mse")
    with pytest.raises(errors.RanksDiverged):
        model.train_step((x, y))


@pytest.mark.ranks(2, 3)
def test_a_validation_split_on_some_ranks_only(comm):
    x, y = line()
    with pytest.raises(errors.RanksDiverged, match="the split of validation data"):
        doubled(comm, Sequential).fit(x, y, verbose=0, validation_split=0.5 if comm.is_root else 0.0)
