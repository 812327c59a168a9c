"""Batch normalization: the statistics are those of the global batch, however its rows are divided."""

import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from distfit import config, layers
from distfit.initializers import Constant
from distfit.layers import lone_context


def data(rows=12, channels=3, mean=2.0):
    return np.random.default_rng(0).normal(mean, 3.0, (rows, channels))


class Ranks:
    """Threads that add up what each brings to `sum_over_batch`, in the order of their ranks."""

    def __init__(self, size):
        self.barrier = threading.Barrier(size, timeout=20)
        self.brought = [None] * size

    def sum_over_batch(self, rank):
        def total(array):
            self.brought[rank] = array
            self.barrier.wait()
            result = sum(self.brought)
            self.barrier.wait()
            return result

        return total

    def run(self, work):
        results = [None] * len(self.brought)

        def on(rank):
            results[rank] = work(rank, self.sum_over_batch(rank))

        threads = [threading.Thread(target=on, args=(rank,)) for rank in range(len(results))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results


def step(layer, x, dy, sum_over_batch):
    context = replace(lone_context(len(x), training=True), sum_over_batch=sum_over_batch)
    y, backward = layer.forward(x, context)
    return y, backward(dy), layer


@given(cuts=st.sets(st.integers(1, 11), min_size=1, max_size=3))
def test_several_ranks_are_one_rank(cuts):
    config.set_floatx("float64")
    try:
        edges = [0, *sorted(cuts), 12]
        slices = [slice(a, b) for a, b in pairwise(edges)]
        x, dy = data(), data(mean=0.0)

        def work(rank, sum_over_batch):
            return step(bound(), x[slices[rank]], dy[slices[rank]], sum_over_batch)

        parts = Ranks(len(slices)).run(work)
        y, dx, whole = step(bound(), x, dy, lambda array: array)
        np.testing.assert_allclose(np.concatenate([part[0] for part in parts]), y, rtol=1e-12)
        np.testing.assert_allclose(np.concatenate([part[1] for part in parts]), dx, rtol=1e-9, atol=1e-12)
        for number, parameter in enumerate(whole.parameters):
            of_ranks = [part[2].parameters[number] for part in parts]
            if parameter.trainable:
                np.testing.assert_allclose(
                    sum(p._gradient for p in of_ranks), parameter._gradient, rtol=1e-9, atol=1e-12
                )
            for p in of_ranks:
                np.testing.assert_array_equal(p.value, of_ranks[0].value)
                np.testing.assert_allclose(p.value, parameter.value, rtol=1e-12)
    finally:
        config.set_floatx("float32")


def bound():
    layer = layers.BatchNormalization()
    layer.ensure_built((3,))
    for parameter in layer.parameters:
        parameter.initialize(np.random.default_rng(0))
        parameter.bind(np.array(parameter.value), np.empty(3) if parameter.trainable else None)
    return layer


def test_a_rank_without_rows_keeps_the_same_averages(build):
    seen = []
    layer, idle = (build(layers.BatchNormalization(), (3,)) for _ in range(2))
    for _ in range(2):
        context = replace(lone_context(12, training=True), sum_over_batch=lambda a: seen.append(a) or a)
        layer.forward(data(), context)
        idle.absorb_sums(seen[-1])
    np.testing.assert_array_equal(idle.moving_mean.value, layer.moving_mean.value)
    np.testing.assert_array_equal(idle.moving_variance.value, layer.moving_variance.value)


def test_values_are_those_of_scikit_learn(build, run):
    layer = build(layers.BatchNormalization(epsilon=0), (3,))
    y = run(layer, data(), training=True)
    np.testing.assert_allclose(y, StandardScaler().fit_transform(data()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("axis", "over"), [(-1, (0, 1, 2)), (1, (0, 2, 3)), (2, (0, 1, 3))])
def test_images_have_channels(axis, over, build, run):
    x = np.random.default_rng(0).normal(5, 2, (6, 4, 3, 2))
    y = run(build(layers.BatchNormalization(axis=axis), (4, 3, 2)), x, training=True)
    np.testing.assert_allclose(y.mean(over), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(over), 1, rtol=1e-3)


def test_averages_move_as_in_keras(build, run):
    # Two rows [0, 4]: mean 2, biased variance 4. momentum 0.75: mean 0.25 * 2, variance 0.75 * 1 + 0.25 * 4.
    layer = build(layers.BatchNormalization(momentum=0.75), (1,))
    run(layer, np.array([[0.0], [4.0]]), training=True)
    assert layer.moving_mean.value.tolist() == [0.5]
    assert layer.moving_variance.value.tolist() == [1.75]
    # Outside of training these are used: (3 - 0.5) / sqrt(1.75 + 0.001).
    np.testing.assert_allclose(run(layer, np.array([[3.0]])), [[2.5 / np.sqrt(1.751)]], rtol=1e-6)


def test_what_the_layer_keeps_is_no_change_by_the_user(build, run):
    layer = build(layers.BatchNormalization(), (3,))
    run(layer, data(), training=True)
    assert [parameter.version for parameter in layer.parameters] == [0, 0, 0, 0]


def test_a_frozen_layer_uses_and_keeps_its_averages(build, run):
    layer = build(layers.BatchNormalization(epsilon=0), (3,))
    layer.trainable = False
    np.testing.assert_allclose(run(layer, data(), training=True), data(), rtol=1e-6)
    assert layer.moving_mean.value.tolist() == [0, 0, 0]


def test_a_large_mean_costs_no_digits(build, run):
    x = data(rows=1000, channels=1).astype(np.float32) + np.float32(1e5)
    layer = build(layers.BatchNormalization(moving_mean_initializer=Constant(1e5)), (1,))
    y = run(layer, x, training=True)
    expected = StandardScaler().fit_transform(x.astype(np.float64))
    np.testing.assert_allclose(y, expected, atol=2e-3)


def test_another_width_is_no_fit(build, run):
    layer = build(layers.BatchNormalization(), (3,))
    with pytest.raises(
        ValueError, match=r"'batch_normalization' takes rows .*Received: rows of shape \(1,\)"
    ):
        run(layer, np.zeros((2, 1)))
