"""What PyTorch does otherwise, or not at all, by hand calculation: where epsilon stands, LAMB, LARS."""

import math

import numpy as np
import pytest

from distfit import optimizers

KERNEL, BIAS = [3.0, -4.0, 1.0], [0.5, -0.25]
GRADIENTS = [[0.3, -0.2, 0.6, -1.0, 2.0], [-0.1, 0.4, 0.2, 0.5, -3.0], [0.7, 0.1, -0.9, 0.2, 1.0]]


def train(optimizer, kernel=KERNEL, bias=BIAS, gradients=GRADIENTS):
    weights = np.array([*kernel, *bias])
    split = len(kernel)
    segments = [
        optimizers.Segment("dense/kernel", 0, split),
        optimizers.Segment("dense/bias", split, weights.size),
    ]
    optimizer.build(weights.size, "float64", segments)
    for gradient in gradients:
        optimizer.apply(weights, np.array(gradient) * 10, divisor=10)
    return weights


def norm(values):
    return math.sqrt(sum(v * v for v in values))


def step_by_hand(optimizer, gradient):
    optimizer.build(1, "float64", [optimizers.Segment("w", 0, 1)])
    weights = np.zeros(1)
    optimizer.apply(weights, np.array([gradient]), divisor=1)
    return -float(weights[0])


def test_adams_epsilon_is_the_papers_epsilon_hat():
    # m = 0.1 * 2, v = 0.001 * 4, alpha = 0.1 * sqrt(0.001) / 0.1
    expected = math.sqrt(0.001) * 0.2 / (math.sqrt(0.004) + 0.5)
    assert step_by_hand(optimizers.Adam(0.1, epsilon=0.5), 2.0) == pytest.approx(expected)
    assert step_by_hand(optimizers.AdamW(0.1, epsilon=0.5), 2.0) == pytest.approx(expected)


def test_rmsprops_epsilon_stands_under_the_root():
    assert step_by_hand(optimizers.RMSprop(0.1, epsilon=0.5), 2.0) == pytest.approx(
        0.2 / math.sqrt(0.4 + 0.5)
    )


def test_adagrads_epsilon_stands_under_the_root():
    assert step_by_hand(optimizers.Adagrad(0.1, epsilon=0.5), 2.0) == pytest.approx(
        0.2 / math.sqrt(4.1 + 0.5)
    )


def test_the_variance_of_steady_gradients_never_falls_below_zero():
    optimizer = optimizers.RMSprop(1e-3, epsilon=0.0, centered=True)
    optimizer.build(64, "float32", [optimizers.Segment("w", 0, 64)])
    weights = np.zeros(64, np.float32)
    with np.errstate(divide="ignore"):  # a variance of zero and no epsilon: infinite steps, but no NaN
        for _ in range(200):
            optimizer.apply(weights, np.linspace(1, 900, 64, dtype=np.float32), divisor=1)
            assert not np.isnan(weights).any()


def lamb_by_hand(weights, gradients, rate, beta_1, beta_2, epsilon, decay):
    m, v = [0.0] * len(weights), [0.0] * len(weights)
    for t, gradient in enumerate(gradients, start=1):
        weights = [w - w * decay * rate for w in weights]
        m = [beta_1 * a + (1 - beta_1) * g for a, g in zip(m, gradient, strict=True)]
        v = [beta_2 * a + (1 - beta_2) * g * g for a, g in zip(v, gradient, strict=True)]
        u = [
            a / (1 - beta_1**t) / (math.sqrt(b / (1 - beta_2**t)) + epsilon)
            for a, b in zip(m, v, strict=True)
        ]
        ratio = norm(weights) / norm(u) if norm(weights) > 0 and norm(u) > 0 else 1.0
        weights = [w - ratio * rate * x for w, x in zip(weights, u, strict=True)]
    return weights


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_lamb(decay):
    trained = train(optimizers.Lamb(0.1, beta_2=0.9, epsilon=0.01, weight_decay=decay))
    kernel = lamb_by_hand(KERNEL, [g[:3] for g in GRADIENTS], 0.1, 0.9, 0.9, 0.01, decay)
    bias = lamb_by_hand(BIAS, [g[3:] for g in GRADIENTS], 0.1, 0.9, 0.9, 0.01, decay)
    np.testing.assert_allclose(trained, kernel + bias, rtol=1e-12)


def lars_by_hand(weights, gradients, rate, momentum, trust, epsilon, decay):
    velocity = [0.0] * len(weights)
    for gradient in gradients:
        ratio = 1.0
        if norm(weights) > 0 and norm(gradient) > 0:
            ratio = trust * norm(weights) / (norm(gradient) + decay * norm(weights) + epsilon)
        velocity = [
            momentum * v + rate * ratio * (g + decay * w)
            for v, g, w in zip(velocity, gradient, weights, strict=True)
        ]
        weights = [w - v for w, v in zip(weights, velocity, strict=True)]
    return weights


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_lars(decay):
    trained = train(
        optimizers.LARS(2.0, momentum=0.8, trust_coefficient=0.05, epsilon=0.01, weight_decay=decay)
    )
    kernel = lars_by_hand(KERNEL, [g[:3] for g in GRADIENTS], 2.0, 0.8, 0.05, 0.01, decay)
    bias = lars_by_hand(BIAS, [g[3:] for g in GRADIENTS], 2.0, 0.8, 0.05, 0.01, decay)
    np.testing.assert_allclose(trained, kernel + bias, rtol=1e-12)


@pytest.mark.parametrize("optimizer", [optimizers.Lamb(0.1), optimizers.LARS(0.1)], ids=["lamb", "lars"])
def test_a_parameter_of_zeros_takes_the_plain_step(optimizer):
    trained = train(optimizer, bias=[0.0, 0.0], gradients=[[0.3, -0.2, 0.6, 1.0, -1.0]])
    np.testing.assert_allclose(trained[3:], [-0.1, 0.1], rtol=1e-6)


@pytest.mark.parametrize("optimizer", [optimizers.Lamb(0.1), optimizers.LARS(0.1)], ids=["lamb", "lars"])
def test_without_gradients_nothing_moves(optimizer):
    trained = train(optimizer, gradients=[[0.0] * 5, [0.0] * 5])
    np.testing.assert_array_equal(trained, KERNEL + BIAS)
