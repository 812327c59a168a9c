"""What holds for every optimizer, however the arena is cut into segments and chunks."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from distfit import optimizers
from distfit.optimizers import Segment

CLASSES = sorted(set(optimizers.KNOWN.values()), key=lambda cls: cls.__name__)
VARIANTS = [
    *((cls, {}) for cls in CLASSES),
    (optimizers.SGD, {"momentum": 0.9}),
    (optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    (optimizers.Adam, {"amsgrad": True}),
    (optimizers.RMSprop, {"momentum": 0.9, "centered": True}),
]
ALL = [*VARIANTS, *((cls, {**kw, "weight_decay": 0.1, "use_ema": True}) for cls, kw in VARIANTS)]
ELEMENTWISE = [(cls, kw) for cls, kw in ALL if issubclass(cls, optimizers.ElementwiseOptimizer)]
every = pytest.mark.parametrize(
    ("cls", "arguments"), ALL, ids=[f"{cls.__name__}-{'-'.join(kw)}" for cls, kw in ALL]
)
elementwise = pytest.mark.parametrize(
    ("cls", "arguments"), ELEMENTWISE, ids=[f"{cls.__name__}-{'-'.join(kw)}" for cls, kw in ELEMENTWISE]
)

SIZE = 11
numbers = st.floats(-100, 100, allow_subnormal=False, width=32)
vectors = arrays(np.float64, SIZE, elements=numbers)
steps = st.lists(vectors, min_size=1, max_size=4)


def train(optimizer, start, gradients, segments=None, divisor=1.0, dtype="float64"):
    optimizer.build(start.size, dtype, segments or [Segment("w", 0, start.size)])
    weights = start.astype(dtype)
    for gradient in gradients:
        optimizer.apply(weights, gradient.astype(dtype), divisor)
    return weights


def cut(points):
    edges = [0, *sorted(points), SIZE]
    return [Segment(f"w{i}", *edges[i : i + 2]) for i in range(len(edges) - 1)]


@elementwise
@settings(max_examples=12)
@given(start=vectors, gradients=steps, size=st.integers(1, SIZE))
def test_chunks_change_nothing(cls, arguments, start, gradients, size):
    whole = train(cls(**arguments), start, gradients)
    chunked = cls(**arguments)
    chunked.chunk_size = size
    np.testing.assert_array_equal(train(chunked, start, gradients), whole)


@pytest.mark.parametrize("cls", [optimizers.Lamb, optimizers.LARS])
@settings(max_examples=12)
@given(start=vectors, gradients=steps, size=st.integers(1, SIZE))
def test_chunks_change_layerwise_norms_by_rounding_only(cls, start, gradients, size):
    whole = train(cls(), start, gradients)
    chunked = cls()
    chunked.chunk_size = size
    np.testing.assert_allclose(train(chunked, start, gradients), whole, rtol=1e-9, atol=1e-12)


@elementwise
@settings(max_examples=12)
@given(start=vectors, gradients=steps, points=st.sets(st.integers(1, SIZE - 1)))
def test_elementwise_optimizers_see_no_segments(cls, arguments, start, gradients, points):
    whole = train(cls(**arguments), start, gradients)
    np.testing.assert_array_equal(train(cls(**arguments), start, gradients, cut(points)), whole)


@every
@settings(max_examples=12)
@given(start=vectors, gradients=steps, rows=st.integers(1, 4096))
def test_a_sum_with_a_divisor_is_a_mean(cls, arguments, start, gradients, rows):
    means = train(cls(**arguments), start, gradients)
    sums = train(cls(**arguments), start, [rows * gradient for gradient in gradients], divisor=rows)
    np.testing.assert_allclose(sums, means, rtol=1e-9, atol=1e-9)


@every
def test_nothing_outside_the_segments_changes(cls, arguments):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=SIZE), rng.normal(size=(3, SIZE))
    optimizer = cls(**arguments)
    trained = train(optimizer, start, gradients, [Segment("b", 6, 9), Segment("a", 1, 4)])
    inside = np.isin(np.arange(SIZE), [1, 2, 3, 6, 7, 8])
    np.testing.assert_array_equal(trained[~inside], start[~inside])
    assert (trained[inside] != start[inside]).all()
    optimizer.finalize_ema(trained)
    np.testing.assert_array_equal(trained[~inside], start[~inside])


@every
def test_float32_stays_float32_and_near_float64(cls, arguments):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=SIZE), rng.normal(size=(5, SIZE))
    optimizer = cls(**arguments)
    single = train(optimizer, start, gradients, dtype="float32")
    np.testing.assert_allclose(single, train(cls(**arguments), start, gradients), rtol=1e-5, atol=1e-5)
    assert single.dtype == np.float32
    assert {slot.dtype for slot in optimizer.state().values()} <= {np.dtype(np.float32)}


@every
def test_a_config_makes_an_equal_optimizer(cls, arguments):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=SIZE), rng.normal(size=(3, SIZE))
    optimizer = cls(0.02, **arguments)
    again = cls.from_config(optimizer.get_config())
    np.testing.assert_array_equal(train(again, start, gradients), train(optimizer, start, gradients))


@every
def test_restored_training_goes_on_exactly(cls, arguments):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=SIZE), rng.normal(size=(6, SIZE))
    whole = train(cls(**arguments), start, gradients)
    first, second = cls(**arguments), cls(**arguments)
    half = train(first, start, gradients[:3])
    second.build(SIZE, "float64", [Segment("w", 0, SIZE)])
    second.restore({name: slot.copy() for name, slot in first.state().items()}, first.scalars())
    np.testing.assert_array_equal(train(second, half, gradients[3:]), whole)


KERAS_DEFAULTS = {
    "SGD": {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False},
    "Adam": {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False},
    "AdamW": {
        "learning_rate": 0.001,
        "weight_decay": 0.004,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-7,
        "amsgrad": False,
    },
    "RMSprop": {"learning_rate": 0.001, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False},
    "Adagrad": {"learning_rate": 0.001, "initial_accumulator_value": 0.1, "epsilon": 1e-7},
    "Lamb": {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
}


@pytest.mark.parametrize("name", KERAS_DEFAULTS)
def test_arguments_and_defaults_are_keras(name):
    parameters = inspect.signature(getattr(optimizers, name)).parameters.values()
    own = {p.name: p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
    assert own == KERAS_DEFAULTS[name]
    assert list(own) == list(KERAS_DEFAULTS[name])


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "adagrad", "lamb", "lars", "RMSprop"])
def test_get_by_name(name):
    assert type(optimizers.get(name)).__name__.lower() == name.lower()


def test_get_keeps_an_optimizer_and_calls_a_class():
    optimizer = optimizers.SGD()
    assert optimizers.get(optimizer) is optimizer
    assert type(optimizers.get(optimizers.Adam)) is optimizers.Adam


def test_get_refuses_what_is_none():
    with pytest.raises(ValueError, match=r"unknown optimizer 'adm'\. Did you mean 'adam'\?"):
        optimizers.get("adm")
    with pytest.raises(TypeError, match=r"Received: 0\.1"):
        optimizers.get(0.1)


@pytest.mark.parametrize("cls", [optimizers.SGD, optimizers.LARS])
def test_momentum_lies_between_zero_and_one(cls):
    with pytest.raises(ValueError, match=r"momentum=1\.5"):
        cls(momentum=1.5)


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match="initial_accumulator_value=-1"):
        optimizers.Adagrad(initial_accumulator_value=-1)
    with pytest.raises(ValueError, match="gradient_accumulation_steps=1"):
        optimizers.SGD(gradient_accumulation_steps=1)
    with pytest.raises(TypeError, match="decay_rate"):
        optimizers.SGD(decay_rate=0.1)
