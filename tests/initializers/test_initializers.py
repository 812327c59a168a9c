"""What every initializer promises: shape, type, and values that are the generator's and nobody else's."""

import inspect

import numpy as np
import pytest

from distfit import initializers

NAMES = sorted(initializers.KNOWN)
RANDOM = [name for name in NAMES if issubclass(initializers.KNOWN[name], initializers.RandomInitializer)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(3, 4), (3, 3, 2, 5)])
def test_shape_and_type(name, shape):
    values = initializers.get(name)(shape, np.random.default_rng(0))
    assert values.shape == shape
    assert values.dtype == np.float64


@pytest.mark.parametrize("name", [name for name in NAMES if "rthogonal" not in name])
def test_a_vector_is_a_weight_too(name):
    assert initializers.get(name)((7,), np.random.default_rng(0)).shape == (7,)


@pytest.mark.parametrize("name", RANDOM)
def test_equal_generators_give_equal_weights_and_one_generator_gives_different_ones(name):
    draw = initializers.get(name)
    generator = np.random.default_rng(3)
    first, second = draw((4, 4), generator), draw((4, 4), generator)
    np.testing.assert_array_equal(first, draw((4, 4), np.random.default_rng(3)))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", RANDOM)
def test_a_seed_of_its_own_does_not_depend_on_the_models_generator(name):
    draw = initializers.KNOWN[name](seed=5)
    np.testing.assert_array_equal(
        draw((4, 4), np.random.default_rng(0)), draw((4, 4), np.random.default_rng(1))
    )


@pytest.mark.parametrize("name", NAMES)
def test_made_again_from_its_config(name):
    draw = initializers.get(name)
    again = type(draw).from_config(draw.get_config())
    np.testing.assert_array_equal(
        draw((4, 4), np.random.default_rng(0)), again((4, 4), np.random.default_rng(0))
    )


def test_every_public_class_is_known_by_its_name():
    concrete = {
        name
        for name in initializers.__all__
        if inspect.isclass(cls := getattr(initializers, name)) and not inspect.isabstract(cls)
    }
    assert concrete - {"FanScaled"} == {name for name in NAMES if name[0].isupper()}


def test_get_takes_names_classes_and_objects():
    same = initializers.Constant(3.0)
    assert initializers.get(same) is same
    assert isinstance(initializers.get(initializers.Zeros), initializers.Zeros)
    assert isinstance(initializers.get("uniform"), initializers.RandomUniform)
    assert isinstance(initializers.get("GlorotUniform"), initializers.GlorotUniform)


def test_a_misspelt_name_is_answered_with_the_right_one():
    with pytest.raises(ValueError, match=r"glorot_unifrom.*Did you mean 'glorot_uniform'"):
        initializers.get("glorot_unifrom")


@pytest.mark.parametrize("identifier", [None, 0.5, np.zeros(3)])
def test_what_is_no_initializer_is_refused(identifier):
    with pytest.raises(TypeError, match="an initializer is a name"):
        initializers.get(identifier)
