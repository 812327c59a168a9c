"""How log values of several ranks become one, here without any: `parts` is what ranks would bring."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distfit import metrics
from distfit.callbacks import Weighted
from distfit.callbacks.dispatch.aggregate import _part, aggregate, aggregate_alone
from distfit.callbacks.dispatch.logs import AggregatedLogs, plain
from distfit.comm import Communicator, pack


class Bringing(Communicator):
    """A group of one whose messages carry what other ranks would have brought."""

    def __init__(self, *others: dict[str, Any]) -> None:
        alone = Communicator.alone().transport
        gather = alone.all_gather_bytes
        parts = [pack({name: _part(value) for name, value in logs.items()}) for logs in others]
        alone.all_gather_bytes = lambda packed: [*gather(packed), *parts]  # type: ignore[method-assign]
        super().__init__(alone)


def together(*logs: dict[str, Any]) -> dict[str, Any]:
    """Return the logs that ranks with these logs see."""
    first, *others = logs
    return aggregate(first, Bringing(*others), "on_epoch_end")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.1, 0.1, 0.1], 0.1),
        ([1.0, 2.0, 6.0], 3.0),
        ([1e300, 1e300], 1e300),
        ([np.ones((2, 2)), 2 * np.ones((2, 2))], 1.5 * np.ones((2, 2))),
        (["host a", "host b"], "host a"),
        ([None, None], None),
    ],
)
def test_equal_values_pass_and_others_are_averaged(values: list[Any], expected: Any) -> None:
    value = together(*[{"value": value} for value in values])["value"]
    np.testing.assert_array_equal(value, expected)


def test_equal_numbers_keep_every_bit() -> None:
    assert together({"a": 0.1 + 0.2}, {"a": 0.1 + 0.2})["a"] == 0.1 + 0.2


def test_a_metric_merges_instead_of_being_averaged() -> None:
    one, other = metrics.MeanSquaredError(name="mse"), metrics.MeanSquaredError(name="mse")
    one.update_state(np.zeros((9, 1)), np.full((9, 1), 1.0))
    other.update_state(np.zeros((1, 1)), np.full((1, 1), 2.0))
    logs = together({"mse": one}, {"mse": other})
    assert logs == {"mse": pytest.approx((9 * 1.0 + 4.0) / 10)}


def test_a_weighted_mean_is_over_the_rows_of_all_ranks() -> None:
    logs = together({"loss": Weighted(2.0, 30)}, {"loss": Weighted(4.0, 10)}, {"loss": Weighted(math.nan, 0)})
    assert logs == {"loss": pytest.approx((2.0 * 30 + 4.0 * 10) / 40)}
    assert together({"loss": Weighted(math.nan, 0)}) == {"loss": 0.0}


def test_a_value_for_each_class_is_logged_by_class() -> None:
    logs = together({"f1": np.array([0.5, 1.0])}, {"f1": np.array([0.0, 1.0])})
    assert logs == {"f1_0": 0.25, "f1_1": 1.0}
    logs = together(
        {"f1": Weighted(np.array([0.5, 1.0]), 3)},
        {"f1": Weighted(np.array([0.0, 1.0]), 1)},
    )
    assert logs == {"f1_0": 0.375, "f1_1": 1.0}


@pytest.mark.parametrize("other", [0.5, Weighted(0.5, 1)])
def test_a_value_is_of_one_kind_on_all_ranks(other: Any) -> None:
    error = metrics.MeanSquaredError(name="mse")
    with pytest.raises(
        ValueError, match="'mse' in the logs of on_epoch_end is of different kinds on the ranks: a"
    ):
        together({"mse": error}, {"mse": other})


@given(
    st.lists(
        st.tuples(st.floats(-10, 10), st.integers(0, 5)),
        min_size=1,
        max_size=6,
    )
)
def test_a_weighted_mean_is_that_of_all_rows_in_one_place(ranks: list[tuple[float, int]]) -> None:
    rows = [value for value, count in ranks for _ in range(count)]
    logs = together(*[{"a": Weighted(value, count)} for value, count in ranks])
    assert logs["a"] == pytest.approx(np.mean(rows) if rows else 0.0)


class Largest(metrics.Metric):
    def __init__(self, name: str = "largest") -> None:
        super().__init__(name)
        self.fields = {"error": metrics.Field((), "max")}

    def measure(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        return {"error": np.abs(y_true - y_pred).max()}

    def compute(self, state: Any) -> float:
        return float(state["error"])


def test_a_metric_merges_as_its_fields_say() -> None:
    one, other = Largest(), Largest()
    one.update_state(np.zeros(2), np.array([1.0, -3.0]))
    other.update_state(np.zeros(2), np.array([2.0, 0.5]))
    assert together({"largest": one}, {"largest": other}) == {"largest": 3.0}


def test_the_metric_itself_goes_on_unchanged() -> None:
    metric = Largest()
    metric.update_state(np.zeros(1), np.ones(1))
    other = Largest()
    other.update_state(np.zeros(1), np.full(1, 9.0))
    assert together({"largest": metric}, {"largest": other}) == {"largest": 9.0}
    assert metric.result() == 1.0


def test_dicts_within_are_flattened_and_keys_sorted() -> None:
    logs = aggregate({"z": 1, "inner": {"b": 2, "deep": {"a": 3}}}, Communicator.alone(), "on_epoch_end")
    assert list(logs.items()) == [("a", 3.0), ("b", 2.0), ("z", 1.0)]


def test_alone_logs_are_the_same_as_together() -> None:
    logs = {"z": 1, "inner": {"b": np.float32(2), "text": "a"}, "classes": np.arange(2), "m": Weighted(3, 2)}
    assert list(aggregate_alone(logs).items()) == list(together(logs).items())
    assert aggregate_alone(logs) == {
        "z": 1.0,
        "b": 2.0,
        "text": "a",
        "classes_0": 0.0,
        "classes_1": 1.0,
        "m": 3.0,
    }


def test_a_missing_key_is_an_error_that_names_it_and_the_ranks() -> None:
    with pytest.raises(
        ValueError, match=r"logs of on_epoch_end have the key 'extra' on rank 1, but not on ranks \[0, 2\]"
    ):
        together({"loss": 1.0}, {"loss": 1.0, "extra": 2.0}, {"loss": 1.0})


def test_what_is_aggregated_already_is_not_sent_again() -> None:
    comm = Communicator.alone()
    known = AggregatedLogs.of({"b": 1.0, "a": 2.0})
    for logs in (aggregate(known, comm, "on_epoch_end"), aggregate_alone(known)):
        assert list(logs.items()) == [("a", 2.0), ("b", 1.0)]
        assert logs is not known
    assert aggregate(None, comm, "on_epoch_end") == {} == aggregate_alone(None)
    assert comm.agreement.messages == 0


@pytest.mark.parametrize("value", [1, True, np.float32(1), np.int64(1), np.array(1.0), np.array(True)])
def test_one_number_is_a_float(value: Any) -> None:
    assert plain(value) == 1.0
    assert type(plain(value)) is float


@pytest.mark.parametrize("value", ["text", None, [1.0], np.ones(1), np.array("text")])
def test_all_else_stays_what_it_is(value: Any) -> None:
    assert plain(value) is value
