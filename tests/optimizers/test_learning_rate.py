"""Reading, setting, scheduling and agreeing on the learning rate."""

import numpy as np
import pytest

from distfit import optimizers
from distfit.optimizers import Segment, schedules

HALVED = schedules.ExponentialDecay(1.0, decay_steps=1, decay_rate=0.5)


def steps(optimizer, count):
    optimizer.build(1, "float64", [Segment("w", 0, 1)])
    weights, path = np.zeros(1), []
    for _ in range(count):
        optimizer.apply(weights, np.ones(1), divisor=1)
        path.append(-float(weights[0]))
    return path


def test_it_is_a_plain_float_and_settable():
    optimizer = optimizers.SGD(1)
    assert optimizer.learning_rate == 1.0
    assert type(optimizer.learning_rate) is float
    assert steps(optimizer, 1) == [1.0]
    optimizer.learning_rate = np.float32(0.5)
    assert steps(optimizer, 1) == [0.5]


def test_a_schedule_follows_the_updates():
    optimizer = optimizers.SGD(HALVED)
    assert optimizer.learning_rate == 1.0
    assert steps(optimizer, 3) == [1.0, 1.5, 1.75]
    assert optimizer.learning_rate == 0.125


def test_iterations_can_be_set():
    optimizer = optimizers.SGD(HALVED)
    optimizer.iterations = 2
    assert steps(optimizer, 1) == [0.25]
    assert optimizer.iterations == 3


def test_a_scheduled_rate_cannot_be_set_but_replaced():
    optimizer = optimizers.SGD(HALVED)
    with pytest.raises(TypeError, match=r"created with a `LearningRateSchedule`.*Received: 0\.1"):
        optimizer.learning_rate = 0.1
    optimizer.learning_rate = schedules.ExponentialDecay(2.0, decay_steps=1, decay_rate=0.5)
    assert optimizer.learning_rate == 2.0


@pytest.mark.parametrize("value", ["0.1", None, lambda: 0.1])
def test_what_is_no_rate_is_refused(value):
    with pytest.raises(ValueError, match="should be a number, or an instance of LearningRateSchedule"):
        optimizers.SGD(value)
    with pytest.raises(ValueError, match="should be a number, or an instance of LearningRateSchedule"):
        optimizers.SGD().learning_rate = value


def test_numbers_are_what_callbacks_may_change():
    optimizer, other = optimizers.SGD(0.1), optimizers.SGD(0.3)
    assert optimizer.numbers() == {"learning_rate": 0.1, "weight_decay": 0.0}
    optimizer.learning_rate, optimizer.weight_decay = 0.2, 0.5
    other.set_numbers(optimizer.numbers())
    assert (other.learning_rate, other.weight_decay) == (0.2, 0.5)


def test_agreeing_on_no_weight_decay_keeps_it_none():
    optimizer = optimizers.SGD(0.1)
    optimizer.set_numbers(optimizer.numbers())
    assert optimizer.weight_decay is None


def test_agreement_leaves_a_schedule_alone():
    optimizer = optimizers.SGD(HALVED)
    optimizer.set_numbers({"learning_rate": 0.7, "weight_decay": 0.5})
    assert (optimizer.learning_rate, optimizer.weight_decay) == (1.0, 0.5)
