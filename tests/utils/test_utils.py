"""Small helpers."""

import random
from typing import Any

import numpy as np
import pytest

from distfit import utils
from distfit.utils.configured import Configured
from distfit.utils.lookup import lookup
from distfit.utils.nested import leaves, map_leaves
from distfit.utils.seeding import random_seed


def test_one_hot_rows() -> None:
    rows = utils.to_categorical([0, 2, 1], num_classes=4)
    np.testing.assert_array_equal(rows, np.eye(4)[[0, 2, 1]])
    np.testing.assert_array_equal(utils.to_categorical(np.array([[0], [1]])), np.eye(2))
    assert utils.to_categorical(np.zeros((2, 3), int), 5).shape == (2, 3, 5)
    assert utils.to_categorical([]).shape == (0, 0)


@pytest.mark.parametrize("labels", [[-1, 0], [0, 3]])
def test_labels_out_of_range(labels: list[int]) -> None:
    with pytest.raises(ValueError, match=r"\[0, 3\)"):
        utils.to_categorical(labels, num_classes=3)


def test_one_seed_for_everything() -> None:
    drawn = []
    for _ in range(2):
        utils.set_random_seed(9)
        drawn.append((random.random(), float(np.random.random())))
    assert drawn[0] == drawn[1]
    assert random_seed() == 9


class Part(Configured):
    def __init__(self, size: int, *, name: str = "part", **options: Any) -> None:
        self.size, self.name, self.options = size, name, options


class Larger(Part):
    def __init__(self, factor: float = 1.0, **options: Any) -> None:
        super().__init__(int(3 * factor), **options)


def test_objects_remember_how_they_were_made() -> None:
    assert Part(3, name="a", extra=1).get_config() == {"size": 3, "name": "a", "extra": 1}
    assert Larger(2.0, name="b").get_config() == {"factor": 2.0, "name": "b"}
    again = Larger.from_config(Larger(2.0, name="b").get_config())
    assert (again.size, again.name) == (6, "b")


def test_the_config_is_a_copy() -> None:
    part = Part(3)
    part.get_config()["size"] = 4
    assert part.get_config() == {"size": 3}


def test_wrong_arguments_are_pythons_own_error() -> None:
    with pytest.raises(TypeError, match=r"__init__\(\) missing 1 required positional argument: 'size'"):
        Part()  # type: ignore[call-arg]


def test_names_are_looked_up() -> None:
    known = {"sgd": dict, "Adam": list}
    assert lookup("sgd", known, "optimizer") == {}
    assert lookup("SGD", known, "optimizer") == {}
    assert lookup(dict, known, "optimizer") == {}
    given = [1]
    assert lookup(given, known, "optimizer") is given
    with pytest.raises(
        ValueError, match=r"unknown optimizer 'sdg'\. Did you mean 'sgd'\? Known are: Adam, sgd"
    ):
        lookup("sdg", known, "optimizer")


TREE = {"a": [1, (2, None)], "b": 3}


def test_trees_keep_their_form() -> None:
    assert map_leaves(lambda leaf: 10 * leaf, TREE) == {"a": [10, (20, None)], "b": 30}
    assert map_leaves(lambda a, b: a + b, (1, 2), (10, 20)) == (11, 22)
    with pytest.raises(ValueError, match="shorter"):
        map_leaves(lambda a, b: a, (1, 2), (1,))


def test_leaves_have_paths() -> None:
    assert leaves(TREE) == [("['a'][0]", 1), ("['a'][1][0]", 2), ("['b']", 3)]
    assert leaves(5) == [("", 5)]
