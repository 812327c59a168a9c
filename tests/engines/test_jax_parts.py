"""What the engine of JAX is made of, piece by piece, in one process."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distfit.engines.jax_rows import as_gradient, dropout, first, keys_of_rows
from distfit.engines.jax_weights import Leaves
from distfit.engines.padding import Padding

TREE = {"dense": {"kernel": np.arange(6, dtype="float32").reshape(2, 3)}, "scales": [np.ones(2, "float32")]}


def test_rows_are_filled_up_to_a_number_that_is_known() -> None:
    padding = Padding()
    # 33 is more than half of 64, and 32 is not; 65 has no room in 64.
    assert [padding.size(rows) for rows in (64, 63, 33, 32, 31, 65)] == [64, 64, 64, 32, 32, 65]


def test_rows_are_filled_with_the_last_of_them() -> None:
    padding = Padding()
    padding.size(4)
    tree = {"a": np.array([[1, 2], [3, 4], [5, 6]]), "b": np.array([7, 8, 9])}
    filled = padding.filled(tree, 3)
    np.testing.assert_array_equal(filled["a"], [[1, 2], [3, 4], [5, 6], [5, 6]])
    np.testing.assert_array_equal(filled["b"], [7, 8, 9, 9])
    np.testing.assert_array_equal(padding.filled(tree["b"], 3, with_zeros=True), [7, 8, 9, 0])
    assert padding.filled(filled, 4) is filled


def keys(number: int = 3, first_row: int = 0, rows: int = 6) -> Any:
    return keys_of_rows(np.array([1, 0], np.uint32), np.uint32(number), np.uint32(first_row), rows)


def test_a_row_s_mask_depends_on_its_place_in_the_global_batch() -> None:
    ones = jnp.ones((6, 50))
    whole = dropout(keys(), 0.4, ones)
    np.testing.assert_array_equal(dropout(keys(first_row=2, rows=4), 0.4, ones[:4]), whole[2:])
    assert len(np.unique(np.asarray(whole), axis=0)) == 6
    assert not np.array_equal(dropout(keys(number=4), 0.4, ones), whole)


def test_dropout_keeps_the_mean() -> None:
    dropped = np.asarray(dropout(keys(rows=100), 0.25, jnp.ones((100, 200))))
    np.testing.assert_allclose(np.unique(dropped), [0, 1 / 0.75], rtol=1e-6)
    assert (dropped == 0).mean() == pytest.approx(0.25, abs=0.015)
    x = jnp.ones((2, 3))
    assert dropout(None, 0.5, x) is x
    assert dropout(keys(rows=2), 0, x) is x


def test_gradients_of_rows_that_stand_behind_are_zero() -> None:
    output = jnp.ones((4, 2))
    np.testing.assert_array_equal(first(output, 3), np.ones((3, 2)))
    np.testing.assert_array_equal(as_gradient(3, output, np.full((3, 2), 5.0)), [[5, 5]] * 3 + [[0, 0]])
    np.testing.assert_array_equal(as_gradient(3, output, None), np.zeros((4, 2)))


def test_leaves_are_named_by_their_paths_and_lie_in_a_buffer() -> None:
    tree = Leaves(TREE, "the parameter", first="float32")
    assert tree.names == ["dense/kernel", "scales/0"]
    np.testing.assert_array_equal(tree.buffers[""][:6], [0, 1, 2, 3, 4, 5])
    tree.buffers[""][0] = 9
    assert tree.tree()["dense"]["kernel"][0, 0] == 9
    assert TREE["dense"]["kernel"][0, 0] == 0


def test_what_jax_computes_with_is_what_was_last_written() -> None:
    """Arrays of JAX are taken for constant: those of the leaves see each update all the same, at any size."""
    for size in (1, 7, 1000):
        tree = Leaves({"a": np.zeros(3, "float32"), "b": np.zeros(size, "float32")}, "it", first="float32")
        total = jax.jit(lambda arrays: sum(array.sum() for array in arrays))
        for value in (1, 2):
            tree.buffers[""][:] = value
            assert total(tree.arrays()) == value * (3 + size)


def test_a_copy_of_the_tree_stays_as_it_is() -> None:
    tree = Leaves(TREE, "the parameter", first="float32")
    before = tree.tree()
    tree.buffers[""][:] = 0
    np.testing.assert_array_equal(before["scales"][0], [1, 1])


def test_each_dtype_has_its_buffer() -> None:
    tree = Leaves({"count": np.int32(3), "mean": np.zeros(2, "float32")}, "the state", prefix="state")
    assert {name: buffer.dtype.name for name, buffer in tree.buffers.items()} == {
        "state of int32": "int32",
        "state of float32": "float32",
    }
    tree.write_flat(np.array([3.9999, 0.5, 1.5]))
    assert tree.tree()["count"] == 4
    np.testing.assert_array_equal(tree.tree()["mean"], [0.5, 1.5])


def test_only_what_users_write_counts_as_a_change() -> None:
    tree = Leaves(TREE, "the parameter", first="float32")
    kernel, scales = tree.variables(is_state=False, is_trained=lambda name: name != "scales/0")
    assert (kernel.trainable, scales.trainable) == (True, False)
    tree.write([np.zeros((2, 3)), np.zeros(2)])
    assert tree.version == 0
    scales.assign([4, 5])
    assert tree.version == 1
    np.testing.assert_array_equal(tree.tree()["scales"][0], [4, 5])
    with pytest.raises(ValueError, match=r"scales/0 has shape \(2,\). Received: an array of shape \(3,\)"):
        scales.assign([1, 2, 3])
    with pytest.raises(ValueError, match="read-only"):
        kernel.value[0] = 1


def test_another_structure_is_named() -> None:
    tree = Leaves({"mean": np.zeros(2)}, "the state")
    with pytest.raises(ValueError, match=r"^new state has to have the structure .*mean.*Received: .*average"):
        tree.flatten({"average": np.zeros(2)}, "new state")
