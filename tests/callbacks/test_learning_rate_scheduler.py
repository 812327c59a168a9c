"""Which learning rate an epoch has, and how a schedule may be written."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.scripted import ScriptedModel
from support.small import line, regression

from distfit import optimizers
from distfit.callbacks import LearningRateScheduler, ReduceLROnPlateau
from distfit.comm import Communicator
from distfit.optimizers.schedules import CosineDecay


def shown(schedule: Callable[..., Any], epochs: int = 3, **options: Any) -> list[float]:
    """Return the learning rates in the logs of a training that starts with 0.1."""
    callback, values = LearningRateScheduler(schedule, **options), []
    callback.set_model(ScriptedModel())
    callback.on_train_begin({})
    for epoch in range(epochs):
        callback.on_epoch_begin(epoch, {})
        logs: dict[str, Any] = {}
        callback.on_epoch_end(epoch, logs)
        values.append(logs["learning_rate"])
    return values


class Halving:
    def __call__(self, epoch: int, rate: float) -> float:
        return rate / 2

    def of_epoch(self, epoch: int) -> float:
        return 0.5**epoch


def keyword(epoch: int, *, base: float) -> float:
    return base / (epoch + 1)


# Expected values are those of Keras 3.15.1 on JAX, but for the last four, which are worked out by hand.
SCHEDULES: dict[str, tuple[Callable[..., Any], list[float]]] = {
    "of epoch and rate": (lambda epoch, rate: rate * 0.5, [0.05, 0.025, 0.0125]),
    "of the epoch": (lambda epoch: 0.1 / (epoch + 1), [0.1, 0.05, 0.0333333]),
    "with a default": (lambda epoch, rate=None: 0.1 if rate is None else rate * 0.9, [0.09, 0.081, 0.0729]),
    "of any number": (lambda *arguments: 0.01 * len(arguments), [0.02, 0.02, 0.02]),
    "an object": (Halving(), [0.05, 0.025, 0.0125]),
    "a method": (Halving().of_epoch, [1.0, 0.5, 0.25]),
    "a partial one": (functools.partial(keyword, base=0.6), [0.6, 0.3, 0.2]),
    "a schedule of optimizers": (CosineDecay(0.8, 2), [0.8, 0.4, 0.0]),
}


@pytest.mark.parametrize(("schedule", "expected"), SCHEDULES.values(), ids=SCHEDULES)
def test_the_learning_rates_of_the_epochs(schedule: Callable[..., Any], expected: list[float]) -> None:
    assert shown(schedule) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("rate", [np.float32(0.25), np.float64(0.25), 0.25])
def test_a_float_is_any_float(rate: Any) -> None:
    assert shown(lambda epoch: rate, 1) == [0.25]


@pytest.mark.parametrize("rate", [1, None, "0.1", np.array([0.1]), True])
def test_anything_else_is_an_error(rate: Any) -> None:
    with pytest.raises(ValueError, match=r"returns a float\. Received: .* for epoch 0"):
        shown(lambda epoch: rate)


def test_an_error_within_the_schedule_is_not_taken_for_a_missing_argument() -> None:
    def broken(epoch: int, rate: float) -> float:
        raise TypeError("of its own")

    with pytest.raises(TypeError, match="of its own"):
        shown(broken)


def test_a_training_has_the_learning_rates_in_its_history() -> None:
    model = regression(Communicator.alone())
    scheduler = LearningRateScheduler(lambda epoch, rate: rate * (epoch + 1))
    history = model.fit(*line(), epochs=3, verbose=0, callbacks=[scheduler])
    assert history.history["learning_rate"] == pytest.approx([0.01, 0.02, 0.06])
    assert model.optimizer.learning_rate == pytest.approx(0.06)


def test_with_a_plateau_the_later_of_the_two_decides() -> None:
    model = regression(Communicator.alone())
    scheduler = LearningRateScheduler(lambda epoch, rate: rate if epoch else 0.08)
    reduce = ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100.0)
    history = model.fit(*line(), epochs=4, verbose=0, callbacks=[scheduler, reduce])
    assert history.history["learning_rate"] == pytest.approx([0.08, 0.08, 0.04, 0.02])


def test_a_schedule_of_the_optimizer_is_an_error_before_anything_was_trained() -> None:
    model = regression(Communicator.alone(), optimizer=optimizers.SGD(CosineDecay(0.1, 10)))
    with pytest.raises(TypeError, match="This optimizer was created with a `LearningRateSchedule`"):
        model.fit(*line(), verbose=0, callbacks=[LearningRateScheduler(lambda epoch, rate: rate)])
    assert model.optimizer.iterations == 0


def test_verbose_says_it_at_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    shown(lambda epoch, rate: rate / 2, 2, verbose=1)
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 1: the learning rate is set to 0.05",
        "Epoch 2: the learning rate is set to 0.025",
    ]
