"""What all callbacks have in common."""

import inspect
from pathlib import Path
from typing import Any

import pytest
from support.small import line, regression

from distfit import Sequential, callbacks, optimizers
from distfit.callbacks import Callback, CallbackList
from distfit.callbacks.dispatch.hooks import ALL_HOOKS
from distfit.comm import Communicator

# Nobody listens where RemoteMonitor sends to.
pytestmark = pytest.mark.filterwarnings("ignore:RemoteMonitor could not reach its server")

ALIASES = {"on_batch_begin", "on_batch_end"}
EXPORTED = [getattr(callbacks, name) for name in callbacks.__all__]
CALLBACKS = [one for one in EXPORTED if inspect.isclass(one) and issubclass(one, Callback)]

# The first arguments of those that need some.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "BackupAndRestore": ("backup",),
    "CSVLogger": ("training.csv",),
    "JSONLogger": ("training.jsonl",),
    "LearningRateScheduler": (lambda epoch, rate: rate / (epoch + 1),),
    "ModelCheckpoint": ("{epoch}.safetensors",),
    "TimeLimit": ("1-00:00:00",),
}


@pytest.fixture
def callback(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    return request.param(*ARGUMENTS.get(request.param.__name__, ()))


def model_with_averages() -> Sequential:
    """Return a model whose optimizer keeps all that any callback asks for."""
    return regression(Communicator.alone(), optimizer=optimizers.SGD(use_ema=True))


def history(callback: Callback) -> dict[str, list[Any]]:
    """Fit a new model, and return its last two epochs' values."""
    model = model_with_averages()
    model.fit(*line(), batch_size=4, epochs=2, verbose=0, validation_split=0.2, callbacks=[callback])
    return {key: values[-2:] for key, values in model.history.history.items()}


@pytest.mark.parametrize("callback", CALLBACKS, indirect=True, ids=lambda cls: cls.__name__)
def test_a_callback_serves_two_fits_alike(callback: Callback, capsys: pytest.CaptureFixture[str]) -> None:
    assert history(callback) == history(callback)


@pytest.mark.parametrize("callback", CALLBACKS, indirect=True, ids=lambda cls: cls.__name__)
def test_a_callback_bears_hooks_of_evaluate_and_predict_alone(callback: Callback) -> None:
    model, (x, y) = model_with_averages(), line()
    model.evaluate(x, y, verbose=0, callbacks=[callback])
    model.predict(x, verbose=0, callbacks=[callback])


@pytest.mark.parametrize("cls", [*CALLBACKS, CallbackList], ids=lambda cls: cls.__name__)
def test_it_says_on_which_ranks_it_runs_and_shows_an_example(cls: type) -> None:
    text = cls.__doc__ or ""
    assert "Ranks:" in text
    assert "Example" in text
    assert ">>>" in text


@pytest.mark.parametrize("cls", CALLBACKS, ids=lambda cls: cls.__name__)
def test_its_ranks_are_one_of_three_words(cls: type[Callback]) -> None:
    assert cls.ranks in ("all", "root", "local_root")


def test_the_base_has_keras_s_sixteen_hooks_and_no_other() -> None:
    assert {name for name in dir(Callback) if name.startswith("on_")} == {*ALL_HOOKS, *ALIASES}
    assert len(ALL_HOOKS) == 14


@pytest.mark.parametrize("hook", [*ALL_HOOKS, *sorted(ALIASES)])
def test_the_list_has_the_same_hooks_with_the_same_arguments(hook: str) -> None:
    def names(cls: type) -> list[str]:
        return list(inspect.signature(getattr(cls, hook)).parameters)

    assert names(CallbackList) == names(Callback)
    assert getattr(Callback, hook).__doc__
