"""Layer normalization against SciPy's z-scores."""

import numpy as np
import pytest
from scipy import stats

from distfit import layers


@pytest.mark.parametrize(("axis", "over"), [(-1, 3), (1, 1), ([2, 3], (2, 3)), ([1, 2, 3], (1, 2, 3))])
def test_values(axis, over, build, run, float64):
    x = np.random.default_rng(0).normal(3, 2, (4, 2, 5, 6))
    layer = build(layers.LayerNormalization(axis=axis, epsilon=0), (2, 5, 6))
    moments = x.mean(over, keepdims=True), x.std(over, keepdims=True)
    np.testing.assert_allclose(run(layer, x), (x - moments[0]) / moments[1], rtol=1e-12, atol=1e-12)


def test_rows_as_z_scores_scaled_and_shifted(build, run, float64):
    x = np.random.default_rng(0).normal(3, 2, (4, 6))
    layer = build(layers.LayerNormalization(epsilon=0), (6,))
    layer.gamma.assign(np.arange(6))
    layer.beta.assign(-np.ones(6))
    np.testing.assert_allclose(run(layer, x), stats.zscore(x, axis=1) * np.arange(6) - 1, rtol=1e-12)


def test_epsilon_is_kerass(build, run):
    # Of [0, 2]: mean 1, variance 1, and 1 / sqrt(1.001).
    y = run(build(layers.LayerNormalization(), (2,)), np.array([[0.0, 2.0]]))
    np.testing.assert_allclose(y, [[-0.9995004, 0.9995004]], rtol=1e-6)


def test_another_width_is_no_fit(build, run):
    layer = build(layers.LayerNormalization(), (3,))
    with pytest.raises(
        ValueError, match=r"'layer_normalization' takes rows .*Received: rows of shape \(1,\)"
    ):
        run(layer, np.zeros((2, 1)))
