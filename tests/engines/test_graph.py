"""A graph of layers: used twice, with two inputs, frozen, and shared between models."""

from typing import Any

import numpy as np
import pytest

from distfit import Model, Sequential, config, layers, optimizers
from distfit.comm import Communicator

X = np.linspace(-1.0, 1.0, 24).reshape(8, 3)
Y = X[:, :1] * 2.0 - X[:, 1:2]


@pytest.fixture(autouse=True)
def _double() -> Any:
    config.set_floatx("float64")
    yield
    config.set_floatx("float32")


def compiled(model: Model, rate: float = 0.1) -> Model:
    model.compile(optimizer=optimizers.SGD(rate), loss="mse")
    return model


def slope(model: Model, x: Any, y: np.ndarray, number: int, place: tuple[int, ...]) -> float:
    """Return the derivative of the loss by one weight, by central differences."""
    start, step, losses = model.get_weights(), 1e-5, []
    for sign in (1.0, -1.0):
        moved = [weight.copy() for weight in start]
        moved[number][place] += sign * step
        model.set_weights(moved)
        losses.append(model.evaluate(x, y, verbose=0))
    model.set_weights(start)
    return float((losses[0] - losses[1]) / (2 * step))


def assert_steps_down_the_slope(model: Model, x: Any, y: np.ndarray, rate: float = 0.1) -> None:
    """Hold one step of plain SGD to the finite differences of the loss, for each weight."""
    before = model.get_weights()
    slopes = [
        np.array([slope(model, x, y, number, place) for place in np.ndindex(w.shape)]).reshape(w.shape)
        for number, w in enumerate(before)
    ]
    model.fit(x, y, batch_size=len(y), verbose=0)
    for weight, was, gradient in zip(model.get_weights(), before, slopes, strict=True):
        np.testing.assert_allclose(weight, was - rate * gradient, atol=1e-8)


def test_a_layer_used_twice_gets_both_gradients() -> None:
    twice = layers.Dense(3, activation="tanh", name="twice")
    x = layers.Input((3,))
    model = compiled(Model(x, layers.Dense(1)(twice(twice(x))), comm=Communicator.alone()))
    assert [v.name for v in model.engine.variables][:2] == ["twice/kernel", "twice/bias"]
    assert len(model.engine.variables) == 4
    assert_steps_down_the_slope(model, X, Y)


def test_a_tensor_used_twice_gets_both_gradients() -> None:
    x = layers.Input((3,))
    hidden = layers.Dense(2, activation="tanh")(x)
    model = compiled(
        Model(
            x,
            layers.Dense(1)(layers.Add()([hidden, layers.Activation("relu")(hidden)])),
            comm=Communicator.alone(),
        )
    )
    assert_steps_down_the_slope(model, X, Y)


@pytest.mark.parametrize("form", ["list", "tuple", "dict"])
def test_two_inputs(form: str) -> None:
    left, right = layers.Input((3,), name="left"), layers.Input((1,), name="right")
    both = layers.Concatenate()([layers.Dense(2)(left), right])
    model = compiled(Model([left, right], layers.Dense(1)(both), comm=Communicator.alone()))
    parts = [X, X[:, 2:] ** 2]
    x: Any = {
        "list": parts,
        "tuple": tuple(parts),
        "dict": {"right": parts[1], "left": parts[0]},  # by name, not by place
    }[form]
    assert_steps_down_the_slope(model, x, Y)


def test_missing_inputs_are_named() -> None:
    left, right = layers.Input((3,), name="left"), layers.Input((1,), name="right")
    model = Model([left, right], layers.Concatenate()([left, right]), comm=Communicator.alone())
    with pytest.raises(ValueError, match=r"Missing: \['right'\]. Received: \['left'\]"):
        model.predict({"left": X}, verbose=0)
    with pytest.raises(ValueError, match=r"takes 2 inputs\. Received: 1"):
        model.predict(X, verbose=0)


def test_a_frozen_layer_keeps_its_weights_while_the_others_learn() -> None:
    model = Sequential(
        [layers.Dense(4, input_shape=(3,)), layers.Dense(4, trainable=False, name="frozen"), layers.Dense(1)],
        comm=Communicator.alone(),
    )
    compiled(model)
    before = {v.name: v.value.copy() for v in model.engine.variables}
    model.fit(X, Y, epochs=2, verbose=0)
    for variable in model.engine.variables:
        changed = bool((variable.value != before[variable.name]).any())
        assert changed is not variable.name.startswith("frozen"), variable.name


def test_trainable_counts_as_it_is_when_the_model_is_compiled() -> None:
    model = Sequential([layers.Dense(4, input_shape=(3,)), layers.Dense(1)], comm=Communicator.alone())
    model.layers[0].trainable = False
    compiled(model)
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    assert [bool((a != b).any()) for a, b in zip(model.get_weights(), before, strict=True)] == [
        False, False, True, True,
    ]  # fmt: skip
    model.layers[0].trainable = True
    compiled(model)
    model.fit(X, Y, verbose=0)
    assert all((a != b).any() for a, b in zip(model.get_weights(), before, strict=True))


def test_a_model_of_inner_features_sees_the_training_of_the_whole() -> None:
    x = layers.Input((3,))
    hidden = layers.Dense(2, activation="tanh", name="hidden")(x)
    whole = compiled(Model(x, layers.Dense(1)(hidden), comm=Communicator.alone()))
    features = Model(x, hidden, comm=Communicator.alone())
    whole.fit(X, Y, epochs=2, verbose=0)
    kernel, bias = whole.get_weights()[:2]
    np.testing.assert_allclose(features.predict(X, verbose=0), np.tanh(X @ kernel + bias), rtol=1e-12)


def test_two_models_that_share_a_layer_train_in_turns() -> None:
    shared = layers.Dense(2, name="shared", input_shape=(3,))
    first = compiled(Sequential([shared, layers.Dense(1, name="head_1")], comm=Communicator.alone()))
    second = compiled(Sequential([shared, layers.Dense(1, name="head_2")], comm=Communicator.alone()))
    for model in (first, second, first, second):
        assert_steps_down_the_slope(model, X, Y)
        np.testing.assert_array_equal(first.get_weights()[0], second.get_weights()[0])
    # And in turns of single steps, as a custom loop does it.
    for model in (first, second, first):
        before = model.get_weights()
        model.train_step((X, Y))
        assert all((a != b).any() for a, b in zip(model.get_weights(), before, strict=True))


def test_several_outputs_come_as_a_list() -> None:
    x = layers.Input((3,))
    model = Model(x, [layers.Rescaling(2.0)(x), layers.Rescaling(-1.0)(x)], comm=Communicator.alone())
    doubled, negated = model.predict(X, batch_size=3, verbose=0)
    np.testing.assert_allclose(doubled, 2 * X)
    np.testing.assert_allclose(negated, -X)
    (single,) = Model(x, [layers.Rescaling(2.0)(x)], comm=Communicator.alone()).predict(X, verbose=0)
    np.testing.assert_allclose(single, 2 * X)


class Returning(layers.Layer):
    """Returns what it is given from its backward, or from forward."""

    def __init__(self, backward: Any, *, forward: Any = None) -> None:
        super().__init__(name="mine")
        self.given, self.made = backward, forward

    def output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def forward(self, x: np.ndarray, context: layers.Context) -> Any:
        return self.made or (2 * x, lambda dy: self.given)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (Returning(None), r"backward of the layer 'mine' .* of shape \(8, 4\)\. Received: None"),
        (Returning(np.zeros((8, 2))), r"backward of the layer 'mine' .* Received: \(8, 2\)"),
        (Returning(None, forward=[1, 2, 3]), r"forward of the layer 'mine' returns its output and .* list"),
    ],
)
def test_a_layer_that_returns_something_else_is_named(layer: layers.Layer, text: str) -> None:
    """Without the gradient by its input, the layers in front of it would never learn."""
    model = compiled(Sequential([layers.Dense(4, input_shape=(3,)), layer, layers.Dense(1)]))
    with pytest.raises(TypeError, match=text):
        model.fit(X, Y, verbose=0)


class Mean(layers.Layer):
    """Takes a mean over time, and says nothing of its output's shape."""

    def forward(self, x: np.ndarray, context: layers.Context) -> Any:
        return x.mean(1), lambda dy: np.repeat(dy[:, None] / x.shape[1], x.shape[1], axis=1)


class Masked(layers.Layer):
    """Takes numbers and a mask, for which there is no gradient."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind

    def output_shape(self, input_shape: Any) -> Any:
        return input_shape[0]

    def forward(self, inputs: Any, context: layers.Context) -> Any:
        x, mask = inputs
        return [x * mask, lambda dy: self.kind([dy * mask, None])]  # a list will do, too


class Largest(layers.Layer):
    """Numbers of classes, which have no gradient."""

    def output_shape(self, input_shape: Any) -> Any:
        return ()

    def forward(self, x: np.ndarray, context: layers.Context) -> Any:
        return x.argmax(-1), lambda dy: None


def test_layers_whose_gradients_are_fewer_or_of_another_shape_than_they_declared() -> None:
    series = layers.Input((3, 2))
    model = compiled(Model(series, layers.Dense(1)(Mean()(layers.Dense(4)(series)))))
    assert np.isfinite(model.fit(np.ones((8, 3, 2)), Y, verbose=0).history["loss"]).all()
    for kind in (list, tuple, iter):
        x, mask = layers.Input((3,)), layers.Input((3,))
        model = compiled(Model([x, mask], layers.Dense(1)(Masked(kind)([layers.Dense(3)(x), mask]))))
        assert np.isfinite(model.fit([X, X > 0], Y, verbose=0).history["loss"]).all()


def test_ids_that_a_trained_layer_has_chosen_have_no_gradient() -> None:
    x = layers.Input((3,))
    model = compiled(Model(x, layers.Dense(1)(layers.Embedding(4, 2)(Largest()(layers.Dense(4)(x))))))
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"]).all()
