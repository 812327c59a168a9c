"""Mean and sum of plain values."""

import numpy as np
import pytest

from distfit import metrics


def test_mean_of_batches_of_unequal_size_is_no_mean_of_means():
    mean = metrics.Mean(name="loss")
    mean.update_state([1.0, 2.0, 3.0])
    mean.update_state(10.0)
    assert mean.result() == 4.0
    mean.reset_state()
    assert mean.result() == 0.0


def test_weights_divide_by_their_sum():
    mean = metrics.Mean()
    mean.update_state([1.0, 3.0], sample_weight=[3.0, 1.0])
    assert mean.result() == 1.5


def test_further_axes_are_averaged_for_each_row():
    mean = metrics.Mean()
    mean.update_state([[1.0, 3.0], [10.0, 20.0]], sample_weight=[1.0, 0.0])
    assert mean.result() == 2.0


def test_sum():
    total = metrics.Sum()
    assert total.result() == 0.0
    total.update_state([[1.0, 3.0], [10.0, 20.0]], sample_weight=[1.0, 0.5])
    total.update_state(2.0)
    total.update_state([])
    assert total.result() == 21.0


@pytest.mark.parametrize("statistic", [metrics.Mean(), metrics.Sum()])
def test_parts_of_ranks_merge(statistic):
    values = np.random.default_rng(0).standard_normal(50)
    parts = []
    for part in np.split(values, [0, 7, 7, 30]):
        rank = type(statistic)()
        rank.update_state(part)
        parts.append(rank.state())
    state = statistic.zero()
    for part in parts:
        state = statistic.merge(state, part)
    expected = values.mean() if isinstance(statistic, metrics.Mean) else values.sum()
    assert statistic.compute(state) == pytest.approx(expected, rel=1e-12)


def test_many_small_float32_values_do_not_get_lost():
    mean = metrics.Mean()
    mean.update_state(np.full(3_000_000, 0.1, np.float32))
    mean.update_state(np.float32(0.1))
    assert mean.result() == pytest.approx(float(np.float32(0.1)), rel=1e-12)
