"""Layers outside a model: their weights bound to arrays of the test's own."""

import numpy as np
import pytest

from distfit import config
from distfit.layers import lone_context


@pytest.fixture
def float64():
    """Let layers compute in float64, in which a finite difference has digits to spare."""
    before = config.floatx()
    config.set_floatx("float64")
    yield
    config.set_floatx(before)


@pytest.fixture
def build():
    """Return a function that makes a layer's weights for a row shape, and gives them a place."""

    def build(layer, input_shape, *, shake=0.0):
        generator = np.random.default_rng(7)
        layer.ensure_built(input_shape)
        for parameter in layer.parameters:
            parameter.initialize(generator)
            weight = parameter.value + shake * generator.random(parameter.shape).astype(config.floatx())
            gradient = np.full_like(weight, np.nan) if parameter.trainable else None
            parameter.bind(np.array(weight), gradient)
        return layer

    return build


@pytest.fixture
def run():
    """Return a function that gives a layer's output for a batch, as one rank computes it."""

    def run(layer, x, *, training=False):
        rows = len(x[0] if isinstance(x, list) else x)
        return layer.forward(x, lone_context(rows, training=training))[0]

    return run
