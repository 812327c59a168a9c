"""A checkpoint of each version of the format, written once and never again, loads for ever."""

from pathlib import Path

import numpy as np
import pytest

from distfit.checkpoint import load, verify

GOLDEN = Path(__file__).parent / "golden"


def equal(array: object, expected: np.ndarray) -> None:
    assert isinstance(array, np.ndarray)
    np.testing.assert_array_equal(array, expected, strict=True)


@pytest.mark.parametrize("version", sorted(path.name for path in GOLDEN.iterdir()))
def test_it_is_whole(version: str) -> None:
    assert verify(GOLDEN / version) == []


def test_version_1() -> None:
    found = load(GOLDEN / "v1")

    assert list(found.weights) == ["dense/kernel", "dense/bias", "norm/moving_mean", "embedding/größe"]
    equal(found.weights["dense/kernel"], np.float32([[0.5, -1.25, 3.0], [0.1, np.inf, -0.0]]))
    equal(found.weights["dense/bias"], np.array([1.0, 2.0, 3.0]))
    equal(found.weights["norm/moving_mean"], np.zeros((0, 4), np.float32))
    equal(found.weights["embedding/größe"], np.float16([1.5, -2.0]))

    assert set(found.optimizer) == {"dense/kernel/m", "iterations", "dense/kernel/v"}
    equal(found.optimizer["dense/kernel/m"], np.float32([[1, 2, 3], [4, 5, 6]]))
    equal(found.optimizer["iterations"], np.array(1216))
    equal(
        found.optimizer["dense/kernel/v"], np.array([0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75])
    )  # of three parts

    state = dict(found.state)
    assert (state["epoch"], state["batch"], state["step"], state["seed"]) == (4, 16, 1216, 42)
    logs = state["logs"]
    assert logs == {"loss": 0.1, "accuracy": np.float32(0.7), "lr": 0.001}
    assert [type(value) for value in logs.values()] == [float, np.float32, np.float64]
    stopping = state["callbacks"]["EarlyStopping"]
    assert (stopping["best"], stopping["wait"], stopping["stopped"]) == (float("inf"), 2, None)
    equal(stopping["best_weights"][0], np.array([True, False]))
    equal(stopping["best_weights"][1], np.uint8([1, 255]))
    assert state["callbacks"]["CSVLogger"] == {"path": "größe.csv", "bytes": 100_000_000_000_000_000_000}
    assert repr(state["history"]) == "[{'epoch': 0, 'loss': [0.30000000000000004, nan, -inf, -0.0]}]"
    assert state["pair"] == (1, ("two", True))
    assert state["odd"] == {"__array__": "no array", "__dict__": {}}
    assert state["z"] == 1 - 2j
    equal(state["names"], np.array([["a", "bc"]]))
    equal(state["when"], np.array(["2026-01-02"], "M8[D]"))
    equal(state["z8"], np.complex64([1 + 1j]))
    assert (state["half"], state["flag"]) == (np.float16(0.25), np.bool_(True))
    assert [type(state[name]) for name in ("half", "flag")] == [np.float16, np.bool_]
    assert state[""] == []
