"""The distributions have the moments and bounds that their papers give."""

import math

import numpy as np
import pytest
from scipy import stats

from distfit import initializers

SHAPE = (60, 40)  # fan_in 60, fan_out 40
DRAWS = 2400
TRUNCATED_STDDEV = stats.truncnorm(-2, 2).std()


def values_of(initializer, shape=SHAPE):
    return initializer(shape, np.random.default_rng(12))


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("glorot_uniform", math.sqrt(6 / 100)),
        ("he_uniform", math.sqrt(6 / 60)),
        ("lecun_uniform", math.sqrt(3 / 60)),
        ("random_uniform", 0.05),
    ],
)
def test_uniform(name, limit):
    drawn = values_of(initializers.get(name)).ravel()
    assert stats.kstest(drawn, stats.uniform(-limit, 2 * limit).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("name", "stddev"),
    [
        ("glorot_normal", math.sqrt(2 / 100)),
        ("he_normal", math.sqrt(2 / 60)),
        ("lecun_normal", math.sqrt(1 / 60)),
        ("truncated_normal", 0.05 * TRUNCATED_STDDEV),
    ],
)
def test_truncated_normal(name, stddev):
    untruncated = stddev / TRUNCATED_STDDEV
    drawn = values_of(initializers.get(name)).ravel()
    assert stats.kstest(drawn, stats.truncnorm(-2, 2, scale=untruncated).cdf).pvalue > 0.01
    assert drawn.std() == pytest.approx(stddev, rel=5 / math.sqrt(DRAWS))


def test_random_normal():
    drawn = values_of(initializers.RandomNormal(mean=1.0, stddev=0.2)).ravel()
    assert stats.kstest(drawn, stats.norm(1.0, 0.2).cdf).pvalue > 0.01


def test_truncated_normal_is_about_its_mean():
    drawn = values_of(initializers.TruncatedNormal(mean=3.0, stddev=0.5))
    assert 2.0 <= drawn.min() < drawn.max() <= 4.0


@pytest.mark.parametrize(("mode", "fan"), [("fan_in", 60), ("fan_out", 40), ("fan_avg", 50)])
@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform"])
def test_variance_scaling(mode, fan, distribution):
    drawn = values_of(initializers.VarianceScaling(3.0, mode, distribution))
    assert drawn.std() == pytest.approx(math.sqrt(3.0 / fan), rel=5 / math.sqrt(DRAWS))


def test_a_convolution_counts_its_window():
    # A window of 3 x 5 over 4 channels: each output sums over 60 inputs.
    drawn = values_of(initializers.HeUniform(), (3, 5, 4, 50))
    limit = math.sqrt(6 / 60)
    assert 0.99 * limit < np.abs(drawn).max() <= limit


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (2, 2, 3, 5)])
def test_orthogonal(shape):
    q = values_of(initializers.Orthogonal(gain=2.0), shape).reshape(-1, shape[-1])
    gram = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(gram, 4.0 * np.eye(min(q.shape)), atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.VarianceScaling(scale=0), "scale has to be positive. Received: scale=0"),
        (lambda: initializers.VarianceScaling(mode="fan"), "Received: mode='fan'"),
        (lambda: initializers.VarianceScaling(distribution="normal"), "Received: distribution='normal'"),
        (lambda: values_of(initializers.Orthogonal(), (3,)), r"Received: shape=\(3,\)"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
