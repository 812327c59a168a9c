"""A weight: who may write it, and how its gradients add up."""

import numpy as np
import pytest

from distfit.initializers import Ones
from distfit.layers import Parameter


def parameter(*, bound=True, trainable=True):
    made = Parameter("kernel", (2,), Ones(), trainable=trainable)
    if bound:
        made.bind(np.ones(2), np.full(2, np.nan) if trainable else None)
    return made


def test_the_value_is_read_only_and_assign_writes_it():
    weight = parameter()
    with pytest.raises(ValueError, match="read-only"):
        weight.value[0] = 3
    weight.assign([3, 4])
    assert (weight.value.tolist(), weight.version) == ([3, 4], 1)


def test_store_is_no_change_by_the_user():
    weight = parameter()
    weight.store(np.array([3, 4]))
    assert (weight.value.tolist(), weight.version) == ([3, 4], 0)


def test_gradients_replace_first_and_add_then():
    weight = parameter()
    for _ in range(2):
        weight.begin_gradient()
        for value in (1, 2):
            with weight.gradient() as out:
                out[...] = value
        assert weight._gradient.tolist() == [3, 3]


def test_a_gradient_that_nobody_wrote_is_zero():
    weight = parameter()
    weight.begin_gradient()
    weight.finish_gradient()
    assert weight._gradient.tolist() == [0, 0]


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"kernel has shape \(2,\). Received: an array of shape \(3,\)"):
        parameter().assign([1, 2, 3])


@pytest.mark.parametrize("write", ["assign", "store"])
def test_a_weight_without_a_place_cannot_be_written(write):
    with pytest.raises(TypeError, match="kernel has no value yet"):
        getattr(parameter(bound=False), write)(np.zeros(2))


def test_state_has_no_gradient():
    with pytest.raises(TypeError, match="has no gradient"), parameter(trainable=False).gradient():
        pass
