"""The exponential moving average of the weights, by hand calculation."""

import numpy as np
import pytest

from distfit import optimizers
from distfit.optimizers import Segment


def descend(steps, **arguments):
    """Take steps of exactly -1 from 10."""
    optimizer = optimizers.SGD(1.0, **arguments)
    optimizer.build(2, "float64", [Segment("w", 0, 1)])
    weights = np.array([10.0, 99.0])
    for _ in range(steps):
        optimizer.apply(weights, np.ones(2), divisor=1)
    return optimizer, weights


def test_the_average_starts_at_the_first_weights_and_follows():
    optimizer, weights = descend(3, use_ema=True, ema_momentum=0.75)
    # 9; 0.75 * 9 + 0.25 * 8; 0.75 * 8.75 + 0.25 * 7
    assert optimizer.state()["ema"].tolist() == [8.3125, 0.0]
    assert weights.tolist() == [7.0, 99.0]


def test_swapping_twice_is_nothing():
    optimizer, weights = descend(3, use_ema=True, ema_momentum=0.75)
    optimizer.swap_ema(weights)
    assert weights.tolist() == [8.3125, 99.0]
    assert optimizer.state()["ema"].tolist() == [7.0, 0.0]
    optimizer.swap_ema(weights)
    assert weights.tolist() == [7.0, 99.0]


def test_the_end_of_training_takes_the_average():
    optimizer, weights = descend(3, use_ema=True, ema_momentum=0.75)
    optimizer.finalize_ema(weights)
    assert weights.tolist() == [8.3125, 99.0]


def test_the_average_overwrites_the_weights_every_so_many_steps():
    _, weights = descend(2, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=2)
    assert weights[0] == 8.75
    _, weights = descend(3, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=2)
    assert weights[0] == 7.75
    optimizer, weights = descend(4, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=2)
    # the average after step 3: 0.75 * 8.75 + 0.25 * 7.75 = 8.5; after step 4: 0.75 * 8.5 + 0.25 * 6.75
    assert weights[0] == optimizer.state()["ema"][0] == 8.0625


def test_before_the_first_step_there_is_no_average_to_take():
    optimizer, weights = descend(0, use_ema=True)
    optimizer.swap_ema(weights)
    optimizer.finalize_ema(weights)
    assert weights.tolist() == [10.0, 99.0]


def test_without_an_average():
    optimizer, weights = descend(1)
    assert optimizer.state() == {}
    optimizer.finalize_ema(weights)
    assert weights[0] == 9.0
    with pytest.raises(ValueError, match="use_ema=True"):
        optimizer.swap_ema(weights)


@pytest.mark.parametrize("arguments", [{"ema_momentum": 1.5}, {"ema_overwrite_frequency": 0}])
def test_arguments_out_of_range(arguments):
    (name, value) = next(iter(arguments.items()))
    with pytest.raises(ValueError, match=f"Received: {name}={value}"):
        optimizers.SGD(use_ema=True, **arguments)
