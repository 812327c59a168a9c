"""Dropout: the same numbers are dropped from a row on whichever rank it is."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distfit import layers
from distfit.layers import lone_context

X = np.arange(1.0, 1 + 12 * 5).reshape(12, 5).astype(np.float32)


def dropped(layer, x, first_row=0, seed=4, step=9):
    context = lone_context(len(x), training=True, seed=seed)
    rng_rows = replace(context.rng_rows, first_row=first_row, step=step)
    return layer.forward(x, replace(context, rng_rows=rng_rows))[0]


@given(cuts=st.sets(st.integers(1, 11), max_size=4), rate=st.sampled_from([0.1, 0.5, 0.9]))
def test_rows_on_several_ranks_are_as_on_one(cuts, rate):
    layer = layers.Dropout(rate)
    edges = [0, *sorted(cuts), 12]
    parts = [dropped(layer, X[a:b], first_row=a) for a, b in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(parts), dropped(layer, X))


def test_what_remains_is_scaled_so_that_the_mean_stays(run):
    y = run(layers.Dropout(0.2), np.ones((200, 200), np.float32), training=True)
    np.testing.assert_allclose(np.unique(y), [0, 1.25], rtol=1e-6)
    assert y.mean() == pytest.approx(1, abs=5 * 0.5 / 200)  # five standard deviations of the mean


def test_the_gradient_goes_where_the_number_went():
    y, backward = layers.Dropout(0.5).forward(X, lone_context(12, training=True))
    np.testing.assert_array_equal(backward(X), y)


def test_nothing_is_dropped_outside_of_training(run):
    assert run(layers.Dropout(0.5), X) is X
    assert run(layers.Dropout(0.0), X, training=True) is X


def test_everything_is_dropped_at_rate_one(run):
    assert not run(layers.Dropout(1.0), X, training=True).any()


def test_a_seed_of_its_own_does_not_depend_on_the_runs():
    own = layers.Dropout(0.5, seed=1)
    np.testing.assert_array_equal(dropped(own, X, seed=4), dropped(own, X, seed=5))
    assert not np.array_equal(dropped(own, X, step=9), dropped(own, X, step=10))
    assert not np.array_equal(
        dropped(layers.Dropout(0.5), X, seed=4), dropped(layers.Dropout(0.5), X, seed=5)
    )


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_the_rate_is_a_share(rate):
    with pytest.raises(ValueError, match=f"Received: rate={rate}"):
        layers.Dropout(rate)
