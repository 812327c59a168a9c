"""Building, keeping and restoring an optimizer's state."""

import subprocess
import sys

import numpy as np
import pytest

from distfit import optimizers
from distfit.optimizers import Segment

SEGMENTS = [Segment("a", 0, 2), Segment("b", 3, 5)]


def built(**arguments):
    optimizer = optimizers.Adam(**arguments)
    optimizer.build(6, "float32", SEGMENTS)
    optimizer.apply(np.ones(6, np.float32), np.ones(6, np.float32), divisor=1)
    return optimizer


def test_slots_are_named_as_in_keras():
    names = {
        optimizers.SGD(): set(),
        optimizers.SGD(momentum=0.5): {"momentum"},
        optimizers.Adam(): {"momentum", "velocity"},
        optimizers.Adam(amsgrad=True, use_ema=True): {"momentum", "velocity", "velocity_hat", "ema"},
        optimizers.RMSprop(): {"velocity"},
        optimizers.RMSprop(momentum=0.5, centered=True): {"velocity", "momentum", "average_gradient"},
        optimizers.Adagrad(): {"accumulator"},
    }
    for optimizer, expected in names.items():
        assert optimizer.state() == {}
        optimizer.build(6, "float32", SEGMENTS)
        assert set(optimizer.state()) == expected
        assert {slot.shape for slot in optimizer.state().values()} <= {(6,)}


def test_adagrad_starts_from_its_initial_value():
    optimizer = optimizers.Adagrad(initial_accumulator_value=0.25)
    optimizer.build(6, "float32", SEGMENTS)
    assert optimizer.state()["accumulator"].tolist() == [0.25] * 6


MEMORY_OF_SLOTS = """
from pathlib import Path
import numpy as np
from distfit import optimizers

def kilobytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

optimizer = optimizers.SGD(momentum=0.9)
before = kilobytes()
optimizer.build(10_000_000, "float32", [])
print(kilobytes() - before)
"""


def test_slots_of_zeros_take_no_memory_before_the_first_update():
    """Each rank of a machine has some before they share them, which they do not keep."""
    ended = subprocess.run(
        [sys.executable, "-c", MEMORY_OF_SLOTS], check=True, capture_output=True, text=True
    )
    assert int(ended.stdout) < 10_000  # of 40,000


def test_building_again_keeps_the_state():
    optimizer = built()
    before = {name: slot.copy() for name, slot in optimizer.state().items()}
    optimizer.build(6, "float32", SEGMENTS)
    for name, slot in optimizer.state().items():
        np.testing.assert_array_equal(slot, before[name])
        assert slot.any()


def test_freezing_keeps_the_others_state():
    optimizer = built()
    optimizer.build(6, "float32", SEGMENTS[1:])
    weights = np.ones(6, np.float32)
    optimizer.apply(weights, np.ones(6, np.float32), divisor=1)
    assert (weights != 1).tolist() == [False, False, False, True, True, False]
    optimizer.build(6, "float32", SEGMENTS)


@pytest.mark.parametrize(
    "other", [(7, "float32", SEGMENTS), (6, "float64", SEGMENTS), (6, "float32", [Segment("c", 0, 2)])]
)
def test_another_model_needs_another_optimizer(other):
    with pytest.raises(ValueError, match=r"holds the state of 2 parameters .* Make a new optimizer"):
        built().build(*other)


@pytest.mark.parametrize(
    "segments",
    [
        [Segment("a", 0, 3), Segment("b", 2, 5)],
        [Segment("a", 4, 7)],
        [Segment("a", -1, 2)],
        [Segment("a", 3, 2)],
    ],
)
def test_segments_lie_in_the_arena_side_by_side(segments):
    with pytest.raises(ValueError, match=r"arena of 6 elements. Received: Segment\(name="):
        optimizers.SGD().build(6, "float32", segments)


def test_empty_parameters_and_arenas():
    for name in ("adam", "lamb", "lars"):
        optimizer = optimizers.get(name)
        optimizer.build(0, "float32", [Segment("none", 0, 0)])
        optimizer.apply(np.empty(0, np.float32), np.empty(0, np.float32), divisor=1)
        assert optimizer.iterations == 1


def test_apply_comes_after_build_and_at_the_arenas_size():
    arena = np.ones(5, np.float32)
    with pytest.raises(ValueError, match=r"adam has no slots yet\. Call `build` first"):
        optimizers.Adam().apply(arena, arena, divisor=1)
    with pytest.raises(ValueError, match=r"arena of shape \(6,\). Received: shape \(5,\)"):
        built().apply(arena, arena, divisor=1)


def test_restore_takes_all_or_nothing():
    source, target = built(), built()
    good = {name: slot * 2 for name, slot in source.state().items()}
    before = {name: slot.copy() for name, slot in target.state().items()}
    scalars = {"iterations": 9.0, "learning_rate": 0.5, "weight_decay": 0.25}
    with pytest.raises(ValueError, match=r"slots are \['momentum', 'velocity'\]. Received: \['momentum'\]"):
        target.restore({"momentum": good["momentum"]}, scalars)
    with pytest.raises(ValueError, match=r"slot 'velocity' has shape \(6,\). Received: shape \(7,\)"):
        target.restore({**good, "velocity": np.zeros(7)}, scalars)
    for name, slot in target.state().items():
        np.testing.assert_array_equal(slot, before[name])
    assert target.iterations == 1
    target.restore(good, scalars)
    for name, slot in target.state().items():
        np.testing.assert_array_equal(slot, good[name])
    assert target.scalars() == scalars
    assert type(target.iterations) is int


def test_a_user_may_name_it():
    assert optimizers.RMSprop().name == "rmsprop"
    assert optimizers.RMSprop(name="mine").name == "mine"
