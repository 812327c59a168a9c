"""Decoupled weight decay, and who is left out of it."""

import numpy as np
import pytest

from distfit import optimizers
from distfit.optimizers import Segment

SEGMENTS = [Segment("dense/kernel", 0, 2), Segment("dense/bias", 2, 3), Segment("norm/gamma", 3, 4)]


def one_step(optimizer):
    optimizer.build(4, "float64", SEGMENTS)
    weights = np.array([1.0, 2.0, 4.0, 8.0])
    optimizer.apply(weights, np.ones(4), divisor=1)
    return weights.tolist()


def test_weights_shrink_before_the_step():
    # w - 0.5 * 0.25 * w, then minus 0.5
    assert one_step(optimizers.SGD(0.5, weight_decay=0.25)) == [0.375, 1.25, 3.0, 6.5]


def test_excluded_names_do_not_shrink():
    optimizer = optimizers.SGD(0.5, weight_decay=0.25)
    optimizer.exclude_from_weight_decay(var_names=["bias", "norm"])
    assert one_step(optimizer) == [0.375, 1.25, 3.5, 7.5]


def test_lars_decays_in_the_gradient_and_not_what_is_excluded():
    optimizer = optimizers.LARS(1.0, momentum=0.0, trust_coefficient=0.5, epsilon=0.0, weight_decay=3.0)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    weights = one_step(optimizer)
    # the rate of gamma is 0.5 * 8 / (1 + 3 * 8), its gradient 1 + 3 * 8; of bias 0.5 * 4 / 1, and 1
    assert weights[3] == pytest.approx(8 - 4)
    assert weights[2] == pytest.approx(4 - 2)


def test_exclusion_comes_before_build():
    optimizer = optimizers.AdamW()
    one_step(optimizer)
    with pytest.raises(ValueError, match=r"call it before `compile`.*\['bias'\]"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])


def test_adamw_without_decay_is_adam():
    with pytest.raises(ValueError, match="use Adam"):
        optimizers.AdamW(weight_decay=None)
