"""Clipping acts on the mean gradient, as Keras's does, however many rows were summed."""

import math

import numpy as np
import pytest

from distfit import optimizers
from distfit.optimizers import Segment

SEGMENTS = [Segment("kernel", 0, 2), Segment("bias", 2, 4)]
MEAN = np.array([3.0, -4.0, 0.3, 0.4])  # norms 5 and 0.5


def step(gradient, rows=1, dtype="float64", **clip):
    """Return the clipped mean gradient: the way that plain descent goes at a learning rate of 1."""
    optimizer = optimizers.SGD(1.0, **clip)
    optimizer.build(gradient.size, dtype, SEGMENTS)
    weights = np.zeros(gradient.size, dtype)
    optimizer.apply(weights, (gradient * rows).astype(dtype), rows)
    return -weights


@pytest.mark.parametrize("rows", [1, 7, 4096])
@pytest.mark.parametrize(
    ("clip", "expected"),
    [
        ({"clipvalue": 0.35}, [0.35, -0.35, 0.3, 0.35]),
        ({"clipnorm": 1.0}, [0.6, -0.8, 0.3, 0.4]),
        ({"clipnorm": 0.1}, [0.06, -0.08, 0.06, 0.08]),
        ({"global_clipnorm": 1.0}, MEAN / math.sqrt(25.25)),
        ({"global_clipnorm": 6.0}, MEAN),
    ],
)
def test_clips(clip, expected, rows):
    np.testing.assert_allclose(step(MEAN, rows, **clip), expected, rtol=1e-12)


@pytest.mark.parametrize("clip", [{"clipnorm": 1.0}, {"global_clipnorm": 1.0}])
def test_a_gradient_of_zeros_stays_zero(clip):
    np.testing.assert_array_equal(step(np.zeros(4), **clip), np.zeros(4))


def test_a_gradient_whose_square_overflows_is_clipped():
    clipped = step(np.array([3e30, 4e30, 0.0, 0.0]), dtype="float32", global_clipnorm=1.0)
    np.testing.assert_allclose(clipped, [0.6, 0.8, 0.0, 0.0], rtol=1e-6)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_an_infinite_gradient_shows_everywhere_in_the_norms_reach(bad):
    gradient = np.array([bad, 1.0, 2.0, 3.0])
    assert np.isnan(step(gradient, global_clipnorm=1.0)).all()
    assert np.isnan(step(gradient, clipnorm=1.0)).tolist() == [True, True, False, False]


def test_the_global_norm_leaves_out_frozen_parameters():
    optimizer = optimizers.SGD(1.0, global_clipnorm=1.0)
    optimizer.build(4, "float64", SEGMENTS[:1])
    weights = np.zeros(4)
    optimizer.apply(weights, np.array([3.0, 4.0, 1e9, 1e9]), divisor=1)
    np.testing.assert_allclose(weights, [-0.6, -0.8, 0.0, 0.0])


def test_at_most_one_clip():
    with pytest.raises(
        ValueError, match=r"Only one of .* can be set\. Received: clipnorm=1\.0, clipvalue=2\.0"
    ):
        optimizers.Adam(clipnorm=1.0, clipvalue=2.0)


@pytest.mark.parametrize("clip", ["clipnorm", "clipvalue", "global_clipnorm"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_a_clip_is_positive(clip, value):
    with pytest.raises(ValueError, match=f"clipped to a positive number.*{clip}={value}"):
        optimizers.Adam(**{clip: value})
