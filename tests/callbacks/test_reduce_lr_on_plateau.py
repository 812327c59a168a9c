"""When the learning rate is lowered, on scripted logs.

Expected values were obtained from Keras 3.15.1 on JAX: its callback was given the same values, with an optimizer whose
learning rate is 0.1, and ``logs["learning_rate"]`` was noted after each epoch, and the optimizer's at the end.
"""

from typing import Any

import numpy as np
import pytest
from support.scripted import ScriptedModel, losses
from support.small import line, regression

from distfit import optimizers
from distfit.callbacks import ReduceLROnPlateau
from distfit.comm import Communicator

nan = float("nan")

CASES: dict[str, tuple[dict[str, Any], list[float], list[float]]] = {
    # arguments, values, the learning rates of the epochs and behind the last one
    "falling": ({}, [4.0, 3.0, 2.0, 1.0], [0.1] * 5),
    "patience 1": ({"patience": 1}, [1.0] * 5, [0.1, 0.1, 0.05, 0.025, 0.0125, 0.00625]),
    "patience 0 is no different": ({"patience": 0}, [1.0] * 5, [0.1, 0.1, 0.05, 0.025, 0.0125, 0.00625]),
    "patience 2": ({"patience": 2}, [1.0] * 7, [0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125]),
    "a better value starts again": (
        {"patience": 2},
        [1.0, 1.0, 0.5, 0.5, 0.5, 0.5],
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05],
    ),
    "better by less than the default min_delta": (
        {"patience": 1},
        [1.0, 0.99995, 0.9998],
        [0.1, 0.1, 0.05, 0.05],
    ),
    "min_delta": (
        {"patience": 1, "min_delta": 0.1},
        [1.0, 0.95, 0.85, 0.8, 0.7],
        [0.1, 0.1, 0.05, 0.05, 0.025, 0.025],
    ),
    "cooldown": (
        {"patience": 1, "cooldown": 2},
        [1.0] * 8,
        [0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125, 0.00625],
    ),
    "cooldown and patience": (
        {"patience": 2, "cooldown": 1},
        [1.0] * 9,
        [0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125, 0.00625],
    ),
    "better within the cooldown": (
        {"patience": 1, "cooldown": 3},
        [1.0, 1.0, 0.5, 0.6, 0.6, 0.6, 0.6],
        [0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025],
    ),
    "min_lr": ({"patience": 1, "min_lr": 0.02}, [1.0] * 6, [0.1, 0.1, 0.05, 0.025, 0.02, 0.02, 0.02]),
    "min_lr above": ({"patience": 1, "min_lr": 0.2}, [1.0] * 4, [0.1] * 5),
    "mode max": ({"patience": 1, "mode": "max"}, [1.0, 2.0, 1.0, 3.0], [0.1, 0.1, 0.1, 0.05, 0.05]),
    "NaN later": ({"patience": 2}, [1.0, nan, nan, nan, 0.5], [0.1, 0.1, 0.1, 0.05, 0.05, 0.05]),
    "NaN first": ({"patience": 2}, [nan, 1.0, 0.5, 0.4, 0.3], [0.1, 0.1, 0.1, 0.05, 0.05, 0.025]),
    "factor 0": ({"patience": 1, "factor": 0.0}, [1.0] * 3, [0.1, 0.1, 0.0, 0.0]),
}


def rates(callback: Any, epochs: list[dict[str, float]], model: ScriptedModel | None = None) -> list[float]:
    """Return the learning rates that the logs of the epochs show, and the last one."""
    model = model or ScriptedModel()
    callback.set_model(model)
    callback.on_train_begin({})
    shown = []
    for epoch, values in enumerate(epochs):
        logs = dict(values)
        callback.on_epoch_end(epoch, logs)
        shown.append(logs["learning_rate"])
    return [*shown, model.optimizer.learning_rate]


@pytest.mark.parametrize(("arguments", "values", "expected"), CASES.values(), ids=CASES)
def test_the_learning_rates_of_the_epochs(
    arguments: dict[str, Any], values: list[float], expected: list[float]
) -> None:
    reduce = ReduceLROnPlateau("loss", **{"factor": 0.5, **arguments})
    assert rates(reduce, losses(*values)) == pytest.approx(expected, abs=1e-7)


def test_it_starts_afresh_in_a_second_fit() -> None:
    reduce = ReduceLROnPlateau("loss", factor=0.5, patience=2, cooldown=5)
    assert rates(reduce, losses(0.1, 0.2, 0.3))[-1] == pytest.approx(0.05)
    assert rates(reduce, losses(5.0, 4.0, 4.0, 4.0))[-1] == pytest.approx(0.05)
    assert (reduce.best, reduce.wait, reduce.cooldown_counter) == (4.0, 0, 5)


def test_it_goes_on_from_its_state() -> None:
    values, whole = losses(*[1.0] * 9), ScriptedModel()
    first = ReduceLROnPlateau("loss", factor=0.5, patience=2, cooldown=1)
    expected = rates(first, values, whole)
    first, model = ReduceLROnPlateau("loss", factor=0.5, patience=2, cooldown=1), ScriptedModel()
    begun = rates(first, values[:4], model)[:-1]
    second = ReduceLROnPlateau("loss", factor=0.5, patience=2, cooldown=1)
    second.set_model(model)
    second.on_train_begin({})
    second.load_state_dict(first.state_dict())
    for epoch, logs in enumerate(losses(*[1.0] * 5), start=4):
        second.on_epoch_end(epoch, logs)
        begun.append(logs["learning_rate"])
    assert [*begun, model.optimizer.learning_rate] == expected


@pytest.mark.parametrize("factor", [1.0, 2.0, nan])
def test_a_factor_that_lowers_nothing_is_an_error(factor: float) -> None:
    with pytest.raises(ValueError, match=f"a factor below 1.*Received: factor={factor}"):
        ReduceLROnPlateau(factor=factor)


def test_a_schedule_is_an_error_before_anything_was_trained() -> None:
    optimizer = optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 10, 0.9))
    model = regression(Communicator.alone(), optimizer=optimizer)
    before = model.get_weights()
    with pytest.raises(TypeError, match="This optimizer was created with a `LearningRateSchedule`"):
        model.fit(*line(), epochs=9, verbose=0, callbacks=[ReduceLROnPlateau("loss")])
    for weight, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_a_missing_value_is_a_warning_each_epoch_and_lowers_nothing() -> None:
    with pytest.warns(UserWarning, match="'val_loss' is not among the logs: loss, learning_rate") as caught:
        assert rates(ReduceLROnPlateau(patience=0), losses(1.0, 1.0, 1.0)) == [0.1] * 4
    assert len(caught) == 3


def test_auto_asks_the_metric_what_better_means() -> None:
    values = losses(1.0, 2.0, 2.0, key="val_score")
    reduce = ReduceLROnPlateau("val_score", factor=0.5, patience=1)
    assert rates(reduce, values, ScriptedModel(score="max")) == pytest.approx([0.1, 0.1, 0.1, 0.05])


def test_verbose_says_when_it_is_lowered(capsys: pytest.CaptureFixture[str]) -> None:
    rates(ReduceLROnPlateau("loss", patience=1), losses(1.0, 1.0))
    assert capsys.readouterr().out == ""
    rates(ReduceLROnPlateau("loss", patience=1, verbose=1), losses(1.0, 1.0))
    assert capsys.readouterr().out == "Epoch 2: the learning rate is lowered to 0.01\n"


def test_monitor_is_the_key_as_text() -> None:
    assert ReduceLROnPlateau().monitor == "val_loss"
