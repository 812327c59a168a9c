"""The base: names as Keras gives them, weights made once."""

import pytest

from distfit import layers
from distfit.layers.layer import snake_case


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Dense", "dense"),
        ("BatchNormalization", "batch_normalization"),
        ("Conv2D", "conv2d"),
        ("MaxPooling2D", "max_pooling2d"),
        ("GlobalAveragePooling2D", "global_average_pooling2d"),
        ("ReLU", "re_lu"),
        ("LeakyReLU", "leaky_re_lu"),
        ("ELU", "elu"),
        ("Conv2DTranspose", "conv2d_transpose"),
        ("LSTMCell", "lstm_cell"),
    ],
)
def test_names_are_kerass(name, expected):
    assert snake_case(name) == expected


def test_weights_are_made_once():
    layer = layers.Dense(2)
    first = layer(layers.Input((3,))).node.layer.parameters
    again = layer(layers.Input((5, 3)))
    assert again.shape == (5, 2)
    assert layer.parameters is first
    assert [parameter.name for parameter in layer.parameters] == ["kernel", "bias"]


def test_arrays_are_no_symbolic_inputs():
    with pytest.raises(TypeError, match=r"layers\.Input or another layer returned. Received: int"):
        layers.Dense(2)(3)
