"""Each schedule at steps worked out by hand, its config, and its errors."""

import inspect
import math

import pytest

from distfit import optimizers
from distfit.optimizers import schedules

CASES = [
    (schedules.ExponentialDecay(0.5, 100, 0.5), {0: 0.5, 50: 0.5 * math.sqrt(0.5), 100: 0.25, 300: 0.0625}),
    (schedules.ExponentialDecay(0.5, 100, 0.5, staircase=True), {99: 0.5, 100: 0.25, 199: 0.25, 200: 0.125}),
    (schedules.InverseTimeDecay(0.6, 10, 0.5), {0: 0.6, 10: 0.4, 20: 0.3, 100: 0.1}),
    (schedules.InverseTimeDecay(0.6, 10, 0.5, staircase=True), {9: 0.6, 10: 0.4, 19: 0.4, 20: 0.3}),
    (schedules.PolynomialDecay(1.0, 10, 0.2), {0: 1.0, 5: 0.6, 10: 0.2, 99: 0.2}),
    (schedules.PolynomialDecay(1.0, 4, 0.0, power=0.5), {0: 1.0, 3: 0.5, 4: 0.0}),
    (
        schedules.PolynomialDecay(1.0, 10, 0.0, cycle=True),
        {0: 1.0, 5: 0.5, 10: 0.0, 15: 0.25, 20: 0.0, 21: 0.3},
    ),
    (schedules.CosineDecay(2.0, 90), {0: 2.0, 30: 1.5, 45: 1.0, 60: 0.5, 90: 0.0, 500: 0.0}),
    (schedules.CosineDecay(2.0, 90, alpha=0.5), {0: 2.0, 45: 1.5, 90: 1.0, 500: 1.0}),
    (
        schedules.CosineDecay(0.1, 90, warmup_target=2.1, warmup_steps=10),
        {0: 0.1, 5: 1.1, 9: 1.9, 10: 2.1, 55: 1.05, 100: 0.0, 500: 0.0},
    ),
    (schedules.CosineDecay(0.1, 90, warmup_target=2.0), {0: 2.0, 45: 1.0}),
    (schedules.PiecewiseConstantDecay([5, 9], [1.0, 0.5, 0.25]), {0: 1.0, 5: 1.0, 6: 0.5, 9: 0.5, 10: 0.25}),
]
table = pytest.mark.parametrize(
    ("schedule", "values"), CASES, ids=[f"{i}-{type(s).__name__}" for i, (s, _) in enumerate(CASES)]
)


@table
def test_values(schedule, values):
    assert {step: schedule(step) for step in values} == pytest.approx(values, abs=1e-12)
    assert all(type(schedule(step)) is float for step in values)


@table
def test_a_config_makes_an_equal_schedule_in_an_equal_optimizer(schedule, values):
    again = type(schedule).from_config(schedule.get_config())
    assert [again(step) for step in values] == [schedule(step) for step in values]
    optimizer = optimizers.SGD.from_config(optimizers.SGD(schedule).get_config())
    optimizer.iterations = max(values)
    assert optimizer.learning_rate == schedule(max(values))


KERAS_ARGUMENTS = {
    "ExponentialDecay": "initial_learning_rate decay_steps decay_rate staircase name",
    "InverseTimeDecay": "initial_learning_rate decay_steps decay_rate staircase name",
    "PolynomialDecay": "initial_learning_rate decay_steps end_learning_rate power cycle name",
    "CosineDecay": "initial_learning_rate decay_steps alpha name warmup_target warmup_steps",
    "PiecewiseConstantDecay": "boundaries values name",
}


@pytest.mark.parametrize("name", KERAS_ARGUMENTS)
def test_arguments_are_keras(name):
    assert " ".join(inspect.signature(getattr(schedules, name)).parameters) == KERAS_ARGUMENTS[name]


def test_decay_takes_time():
    makers = [
        lambda: schedules.ExponentialDecay(0.1, 0, 0.5),
        lambda: schedules.InverseTimeDecay(0.1, 0, 0.5),
        lambda: schedules.PolynomialDecay(0.1, 0),
        lambda: schedules.CosineDecay(0.1, 0),
    ]
    for make in makers:
        with pytest.raises(ValueError, match=r"`decay_steps` must be > 0\. Received: decay_steps=0"):
            make()


def test_pieces_have_one_value_more_than_boundaries_and_ascend():
    with pytest.raises(ValueError, match="should be 1 less"):
        schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2])
    with pytest.raises(ValueError, match="ascend"):
        schedules.PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3])
