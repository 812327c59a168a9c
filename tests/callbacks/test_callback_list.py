"""Order, membership, and what logs are from one dispatch to the next."""

from typing import Any

import numpy as np
import pytest
from support.scripted import ScriptedModel
from support.small import line, regression

from distfit.callbacks import Callback, CallbackList, EarlyStopping, History, LambdaCallback, ProgbarLogger
from distfit.callbacks.dispatch.hooks import ALL_HOOKS
from distfit.comm import Communicator


def kinds(hooks: CallbackList) -> list[str]:
    return [type(callback).__name__ for callback in hooks.callbacks]


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        (),
        CallbackList(),
    ],
    ids=repr,
)
def test_no_callbacks(given: Any) -> None:
    hooks = CallbackList(given)
    assert hooks.callbacks == []
    for name in ALL_HOOKS:
        assert not hooks.has_hook(name)
        getattr(hooks, name)(*[0] * ("batch" in name or "epoch" in name))


def test_one_callback_nested_lists_and_another_list_are_the_same() -> None:
    a, b, c = Callback(), EarlyStopping(), Callback()
    assert CallbackList(a).callbacks == [a]
    assert CallbackList([a, [b, (c,)]]).callbacks == [a, b, c]
    assert CallbackList([a, CallbackList([b, c])]).callbacks == [a, b, c]


def test_history_and_progress_stand_behind_the_users_callbacks() -> None:
    hooks = CallbackList([EarlyStopping()], add_history=True, add_progbar=True)
    assert kinds(hooks) == ["EarlyStopping", "History", "ProgbarLogger"]


def test_none_is_added_where_the_user_brings_one() -> None:
    hooks = CallbackList([ProgbarLogger(), History()], add_history=True, add_progbar=True)
    assert kinds(hooks) == ["ProgbarLogger", "History"]


class Told(Callback):
    """Notes in which order it is told of model and parameters."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self.told.append("model")

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        self.told.append("params")


def test_the_model_comes_before_the_parameters() -> None:
    callback, model = Told(), regression(Communicator.alone())
    CallbackList([callback], model=model, epochs=3, steps=None)
    assert callback.told == ["model", "params"]
    assert callback.model is model
    assert callback.params == {"epochs": 3, "steps": None}
    with pytest.raises(AttributeError):
        callback.model = None  # type: ignore[misc]


def test_without_parameters_none_are_set() -> None:
    callback = Told()
    CallbackList([callback], model=regression(Communicator.alone()))
    assert callback.told == ["model"]


def test_an_appended_callback_is_like_the_others() -> None:
    model = regression(Communicator.alone())
    hooks = CallbackList(model=model, epochs=2)
    callback, epochs = Told(), []
    hooks.append(callback)
    hooks.append(LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch)))
    hooks.on_epoch_end(1, {})
    assert (callback.model, callback.params, epochs) == (model, {"epochs": 2}, [1])


def test_params_of_fit_evaluate_and_predict() -> None:
    model, (x, y), callback = regression(Communicator.alone()), line(), Told()
    model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[callback], validation_data=(x, y))
    assert callback.params == {"verbose": 0, "epochs": 2, "steps": 3, "batch_size": 4}
    assert callback.told == ["model", "params"]  # a validation is a part of the fit
    model.evaluate(x, y, batch_size=5, verbose=0, callbacks=[callback])
    assert callback.params == {"verbose": 0, "epochs": 1, "steps": 2, "batch_size": 5}
    model.predict(x, verbose=0, callbacks=[callback])
    assert callback.params == {"verbose": 0, "epochs": 1, "steps": 1, "batch_size": None}


def test_a_list_of_ones_own_is_taken_as_it_is() -> None:
    model, epochs = regression(Communicator.alone()), []
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    hooks = CallbackList([note], model=model)
    model.fit(*line(), epochs=2, verbose=2, callbacks=hooks)
    assert (epochs, kinds(hooks)) == ([0, 1], ["LambdaCallback", "History"])  # which fit returns


# -- logs -------------------------------------------------------------------------------------------------------------


class Adds(Callback):
    ranks: Any

    def __init__(self, key: str, ranks: str) -> None:
        self.key, self.ranks = key, ranks

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs[self.key] = 7.0

    on_train_batch_end = on_epoch_end


class Sees(Callback):
    def __init__(self, ranks: Any = "all") -> None:
        self.ranks = ranks
        self.epoch_logs: list[dict[str, Any]] = []
        self.batch_logs: list[dict[str, Any]] = []
        self.train_logs: list[dict[str, Any]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch_logs.append(dict(logs))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batch_logs.append(dict(logs))

    def on_train_end(self, logs: Any = None) -> None:
        self.train_logs.append(dict(logs))


@pytest.mark.parametrize("ranks", ["all", "root", "local_root"])
@pytest.mark.parametrize("seen_on", ["all", "root"])
def test_an_added_key_is_seen_behind_it_and_by_the_history_and_in_no_later_hook(
    ranks: str, seen_on: str
) -> None:
    before, after, model = Sees(), Sees(seen_on), regression(Communicator.alone())
    model.fit(*line(), epochs=2, verbose=0, callbacks=[before, Adds("new", ranks), after])
    assert [list(logs) for logs in before.epoch_logs] == [["loss", "mae"]] * 2
    assert [list(logs) for logs in after.epoch_logs] == [["loss", "mae", "new"]] * 2
    assert model.history.history["new"] == [7.0, 7.0]
    assert [list(logs) for logs in after.train_logs] == [["loss", "mae"]]


def test_root_callbacks_see_what_others_on_root_added_to_the_logs_of_a_batch() -> None:
    between, after = Sees(), Sees("root")
    hooks = CallbackList([Adds("new", "root"), between, after])
    hooks.on_train_batch_end(0, {"loss": 0.5})
    assert after.batch_logs == [{"loss": 0.5, "new": 7.0}]


@pytest.mark.parametrize("hook", ["on_epoch_end", "on_train_batch_end"])
def test_the_callers_logs_are_left_alone(hook: str) -> None:
    logs = {"loss": 0.5}
    getattr(CallbackList([Adds("new", "all"), Adds("other", "root")]), hook)(0, logs)
    assert logs == {"loss": 0.5}


def test_keys_are_sorted_and_numbers_are_floats() -> None:
    seen = Sees()
    CallbackList([seen]).on_epoch_end(0, {"b": np.float32(0.5), "a": 1, "c": np.array(2.0)})
    assert list(seen.epoch_logs[0].items()) == [("a", 1.0), ("b", 0.5), ("c", 2.0)]
    assert {type(value) for value in seen.epoch_logs[0].values()} == {float}


def test_no_logs_are_an_empty_dict() -> None:
    seen = Sees()
    hooks = CallbackList([seen])
    hooks.on_epoch_end(0)
    hooks.on_train_end(None)
    assert (seen.epoch_logs, seen.train_logs) == ([{}], [{}])


def test_places_are_said_on_one_line() -> None:
    hooks = CallbackList([Sees(), Sees("root"), History(), object()])
    assert hooks.places() == "Sees, History on all ranks; Sees, object on root"


def test_the_history_adds_up_over_fits_and_its_epochs_do_not() -> None:
    history, model = History(), regression(Communicator.alone())
    for _ in range(2):
        assert model.fit(*line(), epochs=2, verbose=0, callbacks=[history]) is history
    assert history.epoch == [0, 1]
    assert len(history.history["loss"]) == 4
    assert model.history is history


def test_a_loop_of_ones_own_may_train_something_that_is_no_model_of_distfits() -> None:
    model = ScriptedModel()
    hooks = CallbackList([EarlyStopping("loss"), History()], model=model, comm=model.comm)
    hooks.on_train_begin()
    for epoch, loss in enumerate([1.0, 2.0]):
        hooks.on_epoch_end(epoch, {"loss": loss})
    assert model.stop_training
    assert model.history.history == {"loss": [1.0, 2.0]}
