"""Convolution against SciPy's correlation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate2d

from distfit import layers
from distfit.layers import conv2d, lone_context


def bound(layer, input_shape):
    generator = np.random.default_rng(1)
    layer.ensure_built(input_shape)
    for parameter in layer.parameters:
        value = generator.standard_normal(parameter.shape).astype(np.float32)
        parameter.bind(value, np.empty_like(value))
    return layer


def correlated(x, kernel, mode):
    """Return the correlation of images with a kernel HWIO, channel by channel."""
    return np.stack(
        [
            np.stack(
                [
                    sum(correlate2d(image[..., c], kernel[..., c, f], mode) for c in range(kernel.shape[2]))
                    for f in range(kernel.shape[3])
                ],
                axis=-1,
            )
            for image in x
        ]
    )


@given(
    height=st.integers(3, 9),
    width=st.integers(3, 9),
    channels=st.integers(1, 3),
    kernel=st.tuples(st.sampled_from([1, 3]), st.sampled_from([1, 3])),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_valid_windows(height, width, channels, kernel, strides):
    shape = (height, width, channels)
    layer = bound(layers.Conv2D(2, kernel, strides), shape)
    x = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    y, _ = layer.forward(x, lone_context(rows=2))
    expected = correlated(x, layer.kernel.value, "valid")[:, :: strides[0], :: strides[1]]
    np.testing.assert_allclose(y, expected + layer.bias.value, rtol=1e-4, atol=1e-4)
    assert y.shape[1:] == layer.output_shape(shape)


@given(height=st.integers(1, 9), width=st.integers(1, 9), size=st.integers(1, 4))
def test_same_size(height, width, size):
    # Keras adds size - 1 pixels, the larger half below and to the right.
    layer = bound(layers.Conv2D(2, size, padding="same", use_bias=False), (height, width, 1))
    x = np.random.default_rng(0).standard_normal((1, height, width, 1)).astype(np.float32)
    y, _ = layer.forward(x, lone_context(rows=1))
    before, after = (size - 1) // 2, size // 2
    padded = np.pad(x, [(0, 0), (before, after), (before, after), (0, 0)])
    np.testing.assert_allclose(y, correlated(padded, layer.kernel.value, "valid"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "columns"),
    [
        # TensorFlow's rule: ceil(size / stride) windows; the padding that they need, the larger half behind.
        (5, 2, 2, [[0, 1], [2, 3], [4, None]]),
        (6, 3, 2, [[0, 1, 2], [2, 3, 4], [4, 5, None]]),
        (7, 3, 2, [[None, 0, 1], [1, 2, 3], [3, 4, 5], [5, 6, None]]),
        (5, 1, 3, [[0], [3]]),
    ],
)
def test_same_with_strides(size, kernel, stride, columns):
    layer = bound(layers.Conv2D(1, (1, kernel), (1, stride), padding="SAME", use_bias=False), (1, size, 1))
    layer.kernel.assign(10.0 ** np.arange(kernel).reshape(1, kernel, 1, 1))
    x = np.arange(1.0, size + 1).reshape(1, 1, size, 1)
    y, _ = layer.forward(x, lone_context(rows=1))
    expected = [sum((0 if i is None else i + 1) * 10**k for k, i in enumerate(column)) for column in columns]
    assert y.ravel().tolist() == expected


def test_parts_add_up_to_the_whole(monkeypatch):
    x = np.random.default_rng(0).standard_normal((7, 6, 6, 2)).astype(np.float32)

    def results():
        layer = bound(layers.Conv2D(3, 3, activation="relu"), (6, 6, 2))
        y, backward = layer.forward(x, lone_context(rows=7))
        return y, backward(np.ones_like(y)), layer.kernel._gradient, layer.bias._gradient

    whole = results()
    monkeypatch.setattr(conv2d, "_BYTES_AT_ONCE", 3000)
    for part, expected in zip(results(), whole, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Conv2D(0, 3), "Received: filters=0"),
        (lambda: layers.Conv2D(1, 0), "kernel_size is one or two positive integers. Received: kernel_size=0"),
        (lambda: layers.Conv2D(1, 3, strides=(1, 2, 3)), r"Received: strides=\(1, 2, 3\)"),
        (lambda: layers.Conv2D(1, 3, padding="full"), "Received: padding='full'"),
        (
            lambda: layers.Conv2D(1, 3)(layers.Input((784,))),
            r"layers\.Reshape makes such.*Received: .*\(784,\)",
        ),
        (
            lambda: layers.Conv2D(1, 5)(layers.Input((4, 9, 1))),
            r"at least 5, at least 5.*Received: .*\(4, 9, 1\)",
        ),
    ],
)
def test_what_cannot_be_convolved(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_other_channels_are_no_fit(build, run):
    layer = build(layers.Conv2D(1, 3), (5, 5, 3))
    with pytest.raises(
        ValueError, match=r"'conv2d' takes .* 3 at axis -1.*Received: rows of shape \(5, 5, 1\)"
    ):
        run(layer, np.zeros((2, 5, 5, 1)))
