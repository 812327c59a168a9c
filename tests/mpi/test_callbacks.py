"""Promise 3: what a callback decides holds on every rank, wherever it ran."""

import threading
from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit import RemoteError
from distfit.callbacks import Callback, CallbackList
from distfit.comm import Communicator
from distfit.errors import CollectiveInRootHook


class OnRoot(Callback):
    """Runs a function in one hook, on root."""

    ranks = "root"

    def __init__(self, hook: str, action: Any) -> None:
        self.seen = 0

        def run(*args: Any) -> None:
            self.seen += 1
            action(self.model, *args)

        setattr(self, hook, run)


class Watch(Callback):
    """Notes on every rank what it sees."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, dict[str, Any]]] = []
        self.epochs: list[dict[str, Any]] = []
        self.rates: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batches.append((batch, dict(logs)))
        self.rates.append(self.model.optimizer.learning_rate)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs.append(dict(logs))


def fit(comm: Communicator, callbacks: list[Any], epochs: int = 3, **options: Any) -> Any:
    model = regression(comm)
    model.fit(*line(), batch_size=4, epochs=epochs, callbacks=callbacks, verbose=0, **options)
    return model


def test_a_root_callback_runs_on_root_and_once_at_any_number_of_ranks(comm: Communicator) -> None:
    callback = OnRoot("on_epoch_end", lambda *_: None)
    fit(comm, [callback])
    assert comm.all_gather_object(callback.seen) == [3] + [0] * (comm.size - 1)


def test_a_root_callback_stops_all_ranks_at_the_same_batch(comm: Communicator) -> None:
    def stop(model: Any, batch: int, logs: Any) -> None:
        if batch == 1:
            model.stop_training = True

    watch = Watch()
    fit(comm, [OnRoot("on_train_batch_end", stop), watch])
    assert [batch for batch, _ in watch.batches] == [0, 1]
    assert len(watch.epochs) == 1  # Keras ends the epoch, with its hooks


def test_a_learning_rate_that_root_sets_holds_everywhere(comm: Communicator) -> None:
    def halve(model: Any, *_: Any) -> None:
        model.optimizer.learning_rate = model.optimizer.learning_rate / 2

    watch = Watch()
    fit(comm, [OnRoot("on_epoch_begin", halve), watch], epochs=2)
    np.testing.assert_allclose(watch.rates, [0.005] * 3 + [0.0025] * 3)


def test_weights_that_root_sets_hold_everywhere(comm: Communicator) -> None:
    def zero(model: Any, *_: Any) -> None:
        model.set_weights([np.zeros_like(w) for w in model.get_weights()])

    model = fit(comm, [OnRoot("on_train_end", zero)])
    assert all(not weight.any() for weight in model.get_weights())


def test_keys_that_root_adds_reach_later_callbacks_and_history(comm: Communicator) -> None:
    def add(model: Any, epoch: int, logs: Any) -> None:
        logs["gpu"] = 10.0 + epoch

    watch = Watch()
    model = fit(comm, [OnRoot("on_epoch_end", add), watch])
    assert [logs["gpu"] for logs in watch.epochs] == [10.0, 11.0, 12.0]
    assert model.history.history["gpu"] == [10.0, 11.0, 12.0]


def test_an_error_on_root_is_the_same_error_on_all_ranks(comm: Communicator) -> None:
    def fail(model: Any, epoch: int, logs: Any) -> None:
        raise FileNotFoundError("no such folder")

    watch = Watch()
    with pytest.raises(OSError, match="no such folder") as caught:
        fit(comm, [OnRoot("on_epoch_end", fail), watch])
    assert isinstance(caught.value, FileNotFoundError)
    assert isinstance(caught.value, RemoteError) == (comm.rank != 0)
    assert watch.epochs == []  # a later callback does not run, as in one process
    fit(comm, [])  # and the ranks can train on


def test_root_predicts_and_evaluates_alone_while_the_others_wait(comm: Communicator) -> None:
    x, y = line()
    found: list[Any] = []

    def look(model: Any, epoch: int, logs: Any) -> None:
        found.append((model.predict(x, verbose=0), model.evaluate(x, y, verbose=0), logs["loss"]))

    watch = Watch()
    model = fit(comm, [OnRoot("on_epoch_end", look), watch])
    assert len(found) == (3 if comm.is_root else 0)
    assert [logs["loss"] for logs in watch.epochs] == model.history.history["loss"]
    if comm.is_root:
        predicted, (loss, mae), _ = found[-1]
        np.testing.assert_allclose(predicted, forward(model.get_weights(), x), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(loss, np.mean((predicted - y) ** 2), rtol=1e-5)
        np.testing.assert_allclose(mae, np.mean(np.abs(predicted - y)), rtol=1e-5)


def forward(weights: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """Compute `small.regression` by hand."""
    return np.tanh(x @ weights[0] + weights[1]) @ weights[2] + weights[3]


@pytest.mark.parametrize("call", ["barrier", "fit"])
def test_a_collective_in_a_root_hook_is_an_error_on_all_ranks(comm: Communicator, call: str) -> None:
    def wrong(model: Any, *_: Any) -> None:
        model.comm.barrier() if call == "barrier" else model.fit(*line(), verbose=0)

    with pytest.raises(CollectiveInRootHook, match=r"OnRoot\.on_epoch_end"):
        fit(comm, [OnRoot("on_epoch_end", wrong)])


def test_logs_are_equal_on_all_ranks_and_those_of_one(comm: Communicator) -> None:
    watch, lone = Watch(), Watch()
    fit(comm, [watch], validation_split=0.3)
    fit(Communicator.alone(), [lone], validation_split=0.3)
    assert all(others == watch.batches for others in comm.all_gather_object(watch.batches))
    for (_, logs), (_, expected) in zip(watch.batches, lone.batches, strict=True):
        np.testing.assert_allclose(list(logs.values()), list(expected.values()), rtol=1e-5)
    assert list(watch.epochs[0]) == ["loss", "mae", "val_loss", "val_mae"]


class Foreign:
    """A third party's callback: no distfit class."""

    def __init__(self) -> None:
        self.epochs = 0

    def set_model(self, model: Any) -> None:
        self.model = model

    def set_params(self, params: Any) -> None:
        self.params = params

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs += 1
        if epoch == 1:
            self.model.stop_training = True


def test_a_foreign_callback_runs_on_root_and_decides_for_all(comm: Communicator) -> None:
    foreign = Foreign()
    model = fit(comm, [foreign], epochs=5)
    assert comm.all_gather_object(foreign.epochs) == [2] + [0] * (comm.size - 1)
    assert model.history.epoch == [0, 1]


class Value(Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.logs = dict(logs)


def test_numbers_of_a_custom_loop_are_averaged_where_they_differ(comm: Communicator) -> None:
    callback = Value()
    hooks = CallbackList([callback], model=regression(comm))
    hooks.on_epoch_end(0, {"same": 0.1, "rank": float(comm.rank)})
    assert callback.logs == {"rank": (comm.size - 1) / 2, "same": 0.1}


@pytest.mark.ranks(2, 3, 4)
def test_a_key_that_some_ranks_lack_is_an_error_on_all(comm: Communicator) -> None:
    hooks = CallbackList([Value()], model=regression(comm))
    with pytest.raises(ValueError, match=r"'extra'.*on rank 0"):
        hooks.on_epoch_end(0, {"loss": 1.0, **({"extra": 2.0} if comm.is_root else {})})


@pytest.mark.ranks(2, 3, 4)
def test_a_log_value_that_cannot_be_sent_is_an_error_on_all(comm: Communicator) -> None:
    def add(model: Any, epoch: int, logs: Any) -> None:
        logs["lock"] = threading.Lock()

    with pytest.raises(TypeError, match="cannot be sent to other ranks"):
        fit(comm, [OnRoot("on_epoch_end", add)])


@pytest.mark.ranks(2, 3, 4)
def test_weights_that_one_rank_alone_sets_are_undone(comm: Communicator) -> None:
    class Stray(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if comm.rank == 1:
                self.model.set_weights([np.zeros_like(w) for w in self.model.get_weights()])

    model = fit(comm, [Stray()])
    np.testing.assert_array_equal(model.get_weights()[0], fit(comm, []).get_weights()[0])


def test_root_says_how_much_is_shown(comm: Communicator, capfd: pytest.CaptureFixture[str]) -> None:
    regression(comm).fit(*line(), epochs=2, batch_size=10, verbose=2 if comm.is_root else 0)
    assert capfd.readouterr().out.count("Epoch") == (2 if comm.is_root else 0)


def test_a_random_learning_rate_before_a_batch_is_that_of_root(comm: Communicator) -> None:
    class Dice(Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.model.optimizer.learning_rate = 0.01 / (1 + comm.rank + batch)

    watch = Watch()
    model = fit(comm, [Dice(), watch])
    assert watch.rates == [0.01, 0.005, 0.01 / 3] * 3
    weights = comm.all_gather_object(model.get_weights()[0].tobytes())
    assert weights == weights[:1] * comm.size


def test_a_stop_of_one_rank_before_a_batch_stops_all(comm: Communicator) -> None:
    class Enough(Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if comm.rank == comm.size - 1 and batch == 1:
                self.model.stop_training = True

    watch = Watch()
    fit(comm, [Enough(), watch])
    assert [batch for batch, _ in watch.batches] == [0, 1]


def test_logs_that_a_loop_of_ones_own_adds_to_are_brought_together(comm: Communicator) -> None:
    model = regression(comm)
    callback = Value()
    hooks = CallbackList([callback], model=model)
    logs = model.train_step(line())
    logs["rank"] = float(comm.rank)
    hooks.on_epoch_end(0, logs)
    assert callback.logs["rank"] == (comm.size - 1) / 2


def test_root_predicts_with_a_model_of_another_group(comm: Communicator) -> None:
    teacher = regression(comm.split(0, comm.rank))
    x, _ = line()
    expected = forward(teacher.get_weights(), x)
    seen: list[Any] = []
    fit(comm, [OnRoot("on_epoch_end", lambda *_: seen.append(teacher.predict(x, verbose=0)))])
    for predicted in seen:
        np.testing.assert_allclose(predicted, expected, rtol=1e-5, atol=1e-6)
    assert len(seen) == (3 if comm.is_root else 0)
