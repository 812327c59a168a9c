"""What every layer promises: exact gradients, the shape it announced, and inputs left as they were."""

from dataclasses import replace

import numpy as np
import pytest
from autograd import numpy as anp

from distfit import config, layers
from distfit.layers import activations, lone_context

ROWS = 3
IMAGE = (5, 6, 2)

CASES = [
    (lambda: layers.Dense(3), (4,)),
    (lambda: layers.Dense(3, use_bias=False), (4,)),
    (lambda: layers.Dense(2, activation="softmax"), (3, 4)),
    *[(lambda name=name: layers.Dense(3, activation=name), (4,)) for name in activations.KNOWN],
    *[(lambda name=name: layers.Activation(name), (2, 5)) for name in activations.KNOWN],
    (lambda: layers.ReLU(), (2, 5)),
    (lambda: layers.ReLU(max_value=1.0, negative_slope=0.2, threshold=0.3), (2, 5)),
    (lambda: layers.LeakyReLU(), (5,)),
    (lambda: layers.ELU(alpha=0.7), (5,)),
    (lambda: layers.ELU(alpha=-0.7), (5,)),
    (lambda: layers.Softmax(axis=1), (4, 3)),
    (lambda: layers.Rescaling(0.5, offset=-1), (2, 3)),
    (lambda: layers.Rescaling([1.0, 2.0, 3.0], offset=[0.0, 1.0, 2.0]), (2, 3)),
    (lambda: layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 0.25]), (2, 3)),
    (lambda: layers.Normalization(axis=None, mean=1.0, variance=4.0), (2, 3)),
    (lambda: layers.Flatten(), (2, 3)),
    (lambda: layers.Reshape((3, -1)), (2, 3)),
    (lambda: layers.Dropout(0.4), (7,)),
    (lambda: layers.Dropout(0.4, seed=3), (7,)),
    (lambda: layers.BatchNormalization(), (4,)),
    (lambda: layers.BatchNormalization(), IMAGE),
    (lambda: layers.BatchNormalization(axis=1), IMAGE),
    (lambda: layers.BatchNormalization(scale=False), (4,)),
    (lambda: layers.BatchNormalization(center=False), (4,)),
    (lambda: layers.LayerNormalization(), (4,)),
    (lambda: layers.LayerNormalization(axis=[1, -1]), (3, 4)),
    (lambda: layers.LayerNormalization(axis=1), (3, 4)),
    (lambda: layers.LayerNormalization(scale=False), (4,)),
    (lambda: layers.LayerNormalization(center=False), (4,)),
    (lambda: layers.Conv2D(3, 3), IMAGE),
    (lambda: layers.Conv2D(2, (2, 3), strides=(2, 1), padding="same", activation="tanh"), IMAGE),
    (lambda: layers.Conv2D(2, 2, strides=3, padding="same", use_bias=False), IMAGE),
    (lambda: layers.MaxPooling2D(), IMAGE),
    (lambda: layers.MaxPooling2D(3, strides=2, padding="same"), IMAGE),
    (lambda: layers.AveragePooling2D(), IMAGE),
    (lambda: layers.AveragePooling2D((2, 3), strides=1, padding="same"), IMAGE),
    (lambda: layers.GlobalAveragePooling2D(), IMAGE),
    (lambda: layers.GlobalAveragePooling2D(keepdims=True), IMAGE),
    (lambda: layers.Add(), [(3, 2), (3, 2), (1, 2)]),
    (lambda: layers.Multiply(), [(3, 2), (3, 2), (3, 1)]),
    (lambda: layers.Concatenate(), [(3, 2), (3, 4)]),
    (lambda: layers.Concatenate(axis=1), [(3, 2), (1, 2), (2, 2)]),
    (lambda: layers.Lambda(lambda x: anp.sin(x) * x), (4,)),
    (lambda: layers.Lambda(lambda x: x[0] * anp.exp(x[1])), [(4,), (4,)]),
    (lambda: layers.Embedding(5, 3), (4,)),
]
NAMES = [f"{type(make()).__name__}-{number}" for number, (make, _) in enumerate(CASES)]
every_layer = pytest.mark.parametrize(("make", "shape"), CASES, ids=NAMES)


def batch(layer, shape, dtype="float64"):
    generator = np.random.default_rng(11)
    if isinstance(layer, layers.Embedding):
        return generator.integers(0, layer.input_dim, (ROWS, *shape))
    if isinstance(shape, list):
        return [generator.standard_normal((ROWS, *part)).astype(dtype) for part in shape]
    return generator.standard_normal((ROWS, *shape)).astype(dtype)


def arrays_of(tree):
    return tree if isinstance(tree, list) else [tree]


def finite_differences(function, array):
    """Return the gradient of a scalar function by central differences, the array being changed in place."""
    gradient = np.empty(array.shape)
    step = 1e-6
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + step
        above = function()
        array[index] = kept - step
        gradient[index] = (above - function()) / (2 * step)
        array[index] = kept
    return gradient


@every_layer
@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_those_of_finite_differences(make, shape, training, build, float64):
    layer = build(make(), shape, shake=0.5)
    x = batch(layer, shape)
    context = lone_context(ROWS, training=training, seed=5)
    y, backward = layer.forward(x, replace(context, rng_rows=replace(context.rng_rows)))
    direction = np.random.default_rng(2).standard_normal(y.shape)

    def objective():
        output, _ = layer.forward(x, replace(context, rng_rows=replace(context.rng_rows)))
        return float((output * direction).sum())

    dx = backward(direction)
    if not isinstance(layer, layers.Embedding):
        for array, gradient in zip(arrays_of(x), arrays_of(dx), strict=True):
            np.testing.assert_allclose(gradient, finite_differences(objective, array), rtol=1e-5, atol=1e-7)
    for parameter in layer.parameters:
        if parameter.trainable:
            with parameter.gradient() as out:  # a second write: to a scratch array that is added
                out[...] = 0
            expected = finite_differences(objective, parameter._weight)
            np.testing.assert_allclose(parameter._gradient, expected, rtol=1e-5, atol=1e-7)


@every_layer
def test_input_and_gradient_are_left_as_they_were(make, shape, build):
    layer = build(make(), shape)
    x = batch(layer, shape, "float32")
    for array in arrays_of(x):
        array.flags.writeable = False
    y, backward = layer.forward(x, lone_context(ROWS, training=True))
    dy = np.ones_like(y)
    dy.flags.writeable = False
    backward(dy)


@every_layer
@pytest.mark.parametrize("training", [True, False])
def test_rows_have_the_shape_and_type_that_was_announced(make, shape, training, build):
    layer = build(make(), shape)
    x = batch(layer, shape, "float32")
    y, backward = layer.forward(x, lone_context(ROWS, training=training))
    assert y.shape == (ROWS, *layer.output_shape(shape))
    assert y.dtype == config.floatx()
    dx = backward(np.ones_like(y))
    if not isinstance(layer, layers.Embedding):
        assert [d.shape for d in arrays_of(dx)] == [array.shape for array in arrays_of(x)]
        assert {d.dtype.name for d in arrays_of(dx)} == {"float32"}


@every_layer
def test_a_frozen_layer_writes_no_gradients(make, shape, build):
    layer = build(make(), shape)
    layer.trainable = False
    y, backward = layer.forward(batch(layer, shape, "float32"), lone_context(ROWS, training=True))
    backward(np.ones_like(y))
    for parameter in layer.parameters:
        parameter.finish_gradient()
        assert parameter._gradient is None or not parameter._gradient.any()


@every_layer
def test_weights_get_their_gradients_where_the_input_needs_none(make, shape, build):
    layer = build(make(), shape)
    context = replace(lone_context(ROWS, training=True), needs_input_gradient=False)
    y, backward = layer.forward(batch(layer, shape, "float32"), context)
    dx = backward(np.ones_like(y))
    trained = [parameter for parameter in layer.parameters if parameter.trainable]
    assert dx is None or not trained
    assert not any(np.isnan(parameter._gradient).any() for parameter in trained)


@every_layer
def test_an_equal_layer_is_made_from_the_config(make, shape, build, run):
    layer = build(make(), shape)
    again = build(type(layer).from_config(layer.get_config()), shape)
    x = batch(layer, shape, "float32")
    np.testing.assert_array_equal(run(layer, x), run(again, x))


@every_layer
def test_options_of_the_base_are_passed_on(make, shape):
    given = make().get_config()
    layer = type(make())(**given, name="mine", trainable=False)
    assert (layer.name, layer.named_by_user, layer.trainable) == ("mine", True, False)
    with pytest.raises(TypeError, match="unheard_of"):
        type(layer)(**given, unheard_of=1)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Dense(2), (4,)),
        (layers.ReLU(), (4,)),
        (layers.Rescaling(1 / 255), (4,)),
        (layers.Dropout(0.5), (4,)),
        (layers.BatchNormalization(), (4,)),
        (layers.LayerNormalization(), (4,)),
        (layers.Normalization(), (4,)),
        (layers.Conv2D(2, 3), IMAGE),
        (layers.MaxPooling2D(), IMAGE),
        (layers.AveragePooling2D(padding="same"), IMAGE),
        (layers.GlobalAveragePooling2D(), IMAGE),
    ],
    ids=lambda value: getattr(value, "name", None),
)
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float64"])
def test_what_computes_computes_in_floatx(layer, shape, dtype, build):
    x = np.arange(2 * np.prod(shape)).reshape(2, *shape).astype(dtype)
    y, _ = build(layer, shape).forward(x, lone_context(2, training=True))
    assert y.dtype == np.float32


def test_every_known_layer_is_in_the_table():
    assert {type(make()) for make, _ in CASES} == set(layers.KNOWN.values())
    assert {known.__name__ for known in layers.KNOWN.values()} <= set(layers.__all__)
