"""What all callbacks have in common."""

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.every_callback import CALLBACKS, UNHEARD, make, model_with_averages
from support.small import line

from distfit.callbacks import Callback, CallbackList, EarlyStopping, History, ReduceLROnPlateau
from distfit.callbacks.dispatch.hooks import ALL_HOOKS
from distfit.comm import Communicator

pytestmark = pytest.mark.filterwarnings(UNHEARD)

ALIASES = {"on_batch_begin", "on_batch_end"}


@pytest.fixture
def callback(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    return make(request.param)


def history(callback: Callback) -> dict[str, list[Any]]:
    """Fit a new model, and return its last two epochs' values."""
    model = model_with_averages(Communicator.alone())
    model.fit(*line(), batch_size=4, epochs=2, verbose=0, validation_split=0.2, callbacks=[callback])
    return {key: values[-2:] for key, values in model.history.history.items()}


@pytest.mark.parametrize("callback", CALLBACKS, indirect=True, ids=lambda cls: cls.__name__)
def test_a_callback_serves_two_fits_alike(callback: Callback, capsys: pytest.CaptureFixture[str]) -> None:
    assert history(callback) == history(callback)


@pytest.mark.parametrize("callback", CALLBACKS, indirect=True, ids=lambda cls: cls.__name__)
def test_a_callback_bears_hooks_of_evaluate_and_predict_alone(callback: Callback) -> None:
    model, (x, y) = model_with_averages(Communicator.alone()), line()
    model.evaluate(x, y, verbose=0, callbacks=[callback])
    model.predict(x, verbose=0, callbacks=[callback])


@pytest.mark.parametrize("callback", CALLBACKS, indirect=True, ids=lambda cls: cls.__name__)
def test_its_state_survives_a_file(callback: Callback, capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers and text as JSON, arrays beside it, as a checkpoint holds them."""
    history(callback)
    state = callback.state_dict()
    assert set(state) >= set(callback.state_names)
    arrays: list[np.ndarray] = []

    def aside(value: Any) -> Any:
        assert isinstance(value, np.ndarray), f"{type(value).__name__} is no value that a checkpoint holds"
        arrays.append(value)
        return {"array": len(arrays) - 1}

    text = json.dumps(state, default=aside)
    twin = make(type(callback))
    twin.load_state_dict(
        json.loads(text, object_hook=lambda item: arrays[item["array"]] if "array" in item else item)
    )
    np.testing.assert_equal(twin.state_dict(), state)
    callback.state_dict().clear()  # a state is a copy
    np.testing.assert_equal(callback.state_dict(), state)


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceLROnPlateau, History])
@pytest.mark.parametrize("seen", [1, 2, 3, 4])
def test_with_its_state_another_one_goes_on_as_it_would(kind: type[Callback], seen: int) -> None:
    logs = [{"loss": loss} for loss in (5.0, 6.0, 6.0, 5.5, 7.0, 6.5, 6.0, 6.0)]

    def show(callback: Callback, model: Any, epochs: list[int]) -> None:
        for epoch in epochs:
            callback.on_epoch_end(epoch, dict(logs[epoch]))

    models = [model_with_averages(Communicator.alone()) for _ in range(2)]
    first, twin = make(kind), make(kind)
    for callback, model in zip((first, twin), models, strict=True):
        callback.set_model(model)
        callback.on_train_begin({})
    show(first, models[0], list(range(seen)))
    twin.load_state_dict(first.state_dict())
    models[1].optimizer.learning_rate = models[0].optimizer.learning_rate
    for callback, model in zip((first, twin), models, strict=True):
        show(callback, model, list(range(seen, len(logs))))
    np.testing.assert_equal(twin.state_dict(), first.state_dict())
    assert models[0].stop_training == models[1].stop_training
    assert models[0].optimizer.learning_rate == models[1].optimizer.learning_rate


@pytest.mark.parametrize("cls", [*CALLBACKS, CallbackList], ids=lambda cls: cls.__name__)
def test_it_says_on_which_ranks_it_runs_and_shows_an_example(cls: type) -> None:
    text = cls.__doc__ or ""
    assert "Ranks:" in text
    assert "Example" in text
    assert ">>>" in text


@pytest.mark.parametrize("cls", CALLBACKS, ids=lambda cls: cls.__name__)
def test_its_ranks_are_one_of_three_words(cls: type[Callback]) -> None:
    assert cls.ranks in ("all", "root", "local_root")


def test_the_base_has_keras_s_sixteen_hooks_and_two_of_distfit() -> None:
    assert {name for name in dir(Callback) if name.startswith("on_")} == {
        *ALL_HOOKS,
        *ALIASES,
        "on_exception",
    }
    assert len({*ALL_HOOKS, *ALIASES} - {"on_interrupt"}) == 16


@pytest.mark.parametrize("hook", [*ALL_HOOKS, *sorted(ALIASES)])
def test_the_list_has_the_same_hooks_with_the_same_arguments(hook: str) -> None:
    def names(cls: type) -> list[str]:
        return list(inspect.signature(getattr(cls, hook)).parameters)

    assert names(CallbackList) == names(Callback)
    assert getattr(Callback, hook).__doc__
