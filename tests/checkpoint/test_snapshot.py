"""A snapshot does not change with the training, and uses its memory again."""

import numpy as np

from distfit.checkpoint import Checkpoint, Snapshot


def test_a_copy_does_not_change_with_what_it_was_taken_of() -> None:
    state = {"best": [np.zeros(2), {"w": np.ones(1)}], "losses": [0.5], "pair": (np.zeros(1), 3), "name": "é"}
    original = Checkpoint({"w": np.zeros((2, 2))}, {"m": np.ones(3)}, state)
    taken = Snapshot().take(original)
    original.weights["w"][:] = 7
    original.optimizer["m"][:] = 7
    state["best"][0][:] = 7  # type: ignore[index]
    state["best"][1]["w"][:] = 7  # type: ignore[index]
    state["losses"].append(7)  # type: ignore[union-attr, attr-defined]
    state["pair"][0][:] = 7  # type: ignore[index]
    state["later"] = 7
    assert taken.weights["w"].tolist() == [[0, 0], [0, 0]]
    assert taken.optimizer["m"].tolist() == [1, 1, 1]
    assert taken.state["best"][0].tolist() == [0, 0]
    assert taken.state["best"][1]["w"].tolist() == [1]
    assert taken.state["losses"] == [0.5]
    assert taken.state["pair"][0].tolist() == [0]
    assert taken.state["pair"][1] == 3
    assert "later" not in taken.state


def test_memory_is_used_again_where_shape_and_dtype_are_the_same() -> None:
    snapshot, held = Snapshot(), {"best": np.zeros(4)}
    first = snapshot.take(Checkpoint({"w": np.zeros(3), "v": np.zeros(2)}, {"w": np.ones(3)}, held))
    second = snapshot.take(Checkpoint({"w": np.full(3, 2.0), "v": np.zeros(5)}, {"w": np.full(3, 3.0)}, held))
    assert np.shares_memory(first.weights["w"], second.weights["w"])
    assert np.shares_memory(first.state["best"], second.state["best"])
    assert not np.shares_memory(first.weights["v"], second.weights["v"])
    assert second.weights["w"].tolist() == [2, 2, 2]
    assert second.optimizer["w"].tolist() == [3, 3, 3]


def test_dtypes_and_orders_come_through() -> None:
    arrays = {
        "turned": np.arange(6, dtype=np.int16).reshape(2, 3).T,
        "none": np.zeros((0, 3)),
        "one": np.array(True),
    }
    taken = Snapshot().take(Checkpoint(arrays))
    for name, array in arrays.items():
        np.testing.assert_array_equal(taken.weights[name], array, strict=True)
