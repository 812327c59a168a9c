"""How the learning rate rises: worked out by hand from the formula of Goyal et al. (2017).

A training has 10 rows: with a batch of 4, three batches an epoch. The optimizer's own learning rate is 0.12.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit import Sequential, optimizers
from distfit.callbacks import (
    BackupAndRestore,
    Callback,
    LambdaCallback,
    LearningRateScheduler,
    LearningRateWarmup,
    ReduceLROnPlateau,
)
from distfit.comm import Communicator


class Rates(Callback):
    """Notes the learning rate of each batch."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.rates.append(self.model.optimizer.learning_rate)


def model_of(**compile_options: Any) -> Sequential:
    return regression(Communicator.alone(), optimizer=optimizers.SGD(0.12), **compile_options)


def fit(model: Sequential, *callbacks: Any, **options: Any) -> list[float]:
    """Train for 3 epochs, and return the learning rates of the 9 batches."""
    rates = Rates()
    defaults: dict[str, Any] = {"batch_size": 4, "epochs": 3, "verbose": 0}
    model.fit(*line(), callbacks=[*callbacks, rates], **{**defaults, **options})
    return rates.rates


CASES: dict[str, tuple[dict[str, Any], list[float]]] = {
    "over two epochs": ({"epochs": 2}, [0.02, 0.04, 0.06, 0.08, 0.10, 0.12, 0.12, 0.12, 0.12]),
    "over a part of one": ({"epochs": 0.67}, [0.06, 0.12, *[0.12] * 7]),
    "over four steps": ({"steps": 4}, [0.03, 0.06, 0.09, *[0.12] * 6]),
    "from somewhere": ({"steps": 4, "initial": 0.08}, [0.09, 0.10, 0.11, *[0.12] * 6]),
    # A batch of 4 is twice one of 2: the rate rises from 0.12 to 0.24.
    "scaled": ({"steps": 4, "reference_batch_size": 2}, [0.15, 0.18, 0.21, *[0.24] * 6]),
    "scaled down": ({"steps": 4, "reference_batch_size": 8}, [0.105, 0.09, 0.075, *[0.06] * 6]),
    "scaled, from somewhere": (
        {"steps": 4, "reference_batch_size": 2, "initial": 0.0},
        [0.06, 0.12, 0.18, *[0.24] * 6],
    ),
    "scaled by what is said": (
        {"steps": 2, "reference_batch_size": 2, "batch_size": 6},
        [0.24, *[0.36] * 8],
    ),
    "longer than the training": ({"steps": 12}, [0.01 * n for n in range(1, 10)]),
}


@pytest.mark.parametrize(("arguments", "expected"), CASES.values(), ids=CASES)
def test_the_learning_rates_of_the_batches(arguments: dict[str, Any], expected: list[float]) -> None:
    warmup, model = LearningRateWarmup(**arguments), model_of()
    assert fit(model, warmup) == pytest.approx(expected)
    assert warmup.is_over == (arguments.get("steps") != 12)
    assert model.history.history["learning_rate"] == pytest.approx(expected[2::3])


@pytest.mark.parametrize(
    ("steps", "expected"), [(4, [0.03, 0.09, 0.12]), (3, [0.04, 0.12]), (2, [0.06, 0.12])]
)
def test_several_batches_at_a_time_have_the_rate_of_the_first(steps: int, expected: list[float]) -> None:
    rates = fit(model_of(steps_per_execution=2), LearningRateWarmup(steps=steps))
    assert rates == pytest.approx([*expected, *[0.12] * (len(rates) - len(expected))])


def test_another_fit_goes_on_and_scales_no_second_time() -> None:
    warmup, model = LearningRateWarmup(steps=4, reference_batch_size=2), model_of()
    assert fit(model, warmup, epochs=1) == pytest.approx([0.15, 0.18, 0.21])
    assert fit(model, warmup, epochs=1) == pytest.approx([0.24] * 3)
    model.optimizer.learning_rate = 0.01
    assert fit(model, warmup, epochs=1) == pytest.approx([0.01] * 3)


def test_another_optimizer_is_warmed_up_again() -> None:
    warmup = LearningRateWarmup(steps=4)
    for _ in range(2):
        assert fit(model_of(), warmup, epochs=1) == pytest.approx([0.03, 0.06, 0.09])


def test_a_training_that_begins_later_is_past_it() -> None:
    warmup = LearningRateWarmup(epochs=3, reference_batch_size=2)
    assert fit(model_of(), warmup, initial_epoch=1) == pytest.approx([0.12] * 6)


def test_it_goes_on_from_its_state() -> None:
    first, model, second = LearningRateWarmup(steps=6), model_of(), LearningRateWarmup(steps=6)
    assert fit(model, first, epochs=1) == pytest.approx([0.02, 0.04, 0.06])

    class Restore(Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            second.load_state_dict(first.state_dict())

    rates = fit(model, second, Restore(), initial_epoch=1)
    assert rates == pytest.approx([0.08, 0.10, 0.12, 0.12, 0.12, 0.12])


def test_behind_it_others_decide() -> None:
    warmup = LearningRateWarmup(epochs=1)
    halve = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    assert fit(model_of(), warmup, halve) == pytest.approx([0.04, 0.08, 0.12, *[0.06] * 3, *[0.03] * 3])
    reduce = ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100.0)
    rates = fit(model_of(), LearningRateWarmup(epochs=1), reduce)
    assert rates == pytest.approx([0.04, 0.08, *[0.12] * 4, *[0.06] * 3])


def test_data_without_a_length_need_a_number_of_steps() -> None:
    x, y = line()
    with pytest.raises(ValueError, match=r"steps= instead of epochs"):
        model_of().fit(iter([(x, y)]), verbose=0, callbacks=[LearningRateWarmup()])
    model = model_of()
    model.fit(iter([(x, y)]), verbose=0, callbacks=[LearningRateWarmup(steps=2)])
    assert model.optimizer.learning_rate == pytest.approx(0.06)


def test_scaling_needs_a_batch_size() -> None:
    with pytest.raises(ValueError, match=r"has to know the batch size"):
        fit(model_of(), LearningRateWarmup(reference_batch_size=8), batch_size=None)


@pytest.mark.parametrize("name", ["epochs", "steps", "reference_batch_size", "batch_size"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_arguments_are_positive(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"is positive. Received: {name}={value}"):
        LearningRateWarmup(**{name: value})


def test_a_schedule_is_an_error_before_anything_was_trained() -> None:
    optimizer = optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 10))
    model = regression(Communicator.alone(), optimizer=optimizer)
    before = model.get_weights()
    with pytest.raises(TypeError, match="This optimizer was created with a `LearningRateSchedule`"):
        fit(model, LearningRateWarmup())
    for weight, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_verbose_says_when_it_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    fit(model_of(), LearningRateWarmup(steps=4, verbose=1))
    assert capsys.readouterr().out == "Epoch 2: the warmup is over, at a learning rate of 0.12\n"


@pytest.mark.parametrize(
    "options",
    [{}, {"initial": 0.01}, {"reference_batch_size": 2}, {"reference_batch_size": 2, "initial": 0.02}],
)
def test_a_warmup_that_was_interrupted_goes_on(tmp_path: Path, options: dict[str, Any]) -> None:
    def train(*more: Any) -> Any:
        model = regression(Communicator.alone(), optimizer=optimizers.SGD(0.1))
        warmup = LearningRateWarmup(epochs=5, batch_size=4, **options)
        model.fit(*line(), batch_size=4, epochs=8, verbose=0, callbacks=[warmup, *more])
        return model

    def power_cut(epoch: int, logs: Any) -> None:
        if epoch == 2:
            raise OSError("power cut")

    expected = train().history.history["learning_rate"]
    with pytest.raises(OSError, match="power cut"):
        train(BackupAndRestore(tmp_path), LambdaCallback(on_epoch_begin=power_cut))
    resumed = train(BackupAndRestore(tmp_path)).history
    assert resumed.epoch == list(range(8))
    assert resumed.history["learning_rate"] == expected
