"""Hooks come in Keras's order, with its indices and keys, wherever a callback runs that ends the loop."""

import json
from pathlib import Path

import pytest
from support.hook_cases import BATCH, ROWS, TEST_HOOKS, VALIDATION_ROWS, Case, cases, recorder, setter
from support.small import regression

from distfit.callbacks import Callback
from distfit.comm import Communicator

REFERENCE = json.loads(
    (Path(__file__).parents[1] / "callbacks" / "reference" / "keras_traces.json").read_text()
)
CASES = list(cases())


def keras_s(case: Case) -> list[str]:
    """Return what a callback of Keras's sees; see tests/callbacks/reference/keras_traces.py.

    Keras numbers the end of a last, shorter execution as if it were a whole one: 5 where 4 is the last batch. A
    callback that counts batches by it counts some that were not there; distfit gives the last batch's number.
    """
    events = [REFERENCE["events"][number] for number in REFERENCE["traces"][case.name]]
    return [_of_last_batch(event) if "_batch_end" in event else event for event in events]


def _of_last_batch(event: str) -> str:
    hook, index, keys = event.split()
    rows = VALIDATION_ROWS if hook in TEST_HOOKS else ROWS
    return f"{hook} {min(int(index), -(-rows // BATCH) - 1)} {keys}"


def ours(comm: Communicator, case: Case, ranks: str) -> list[str]:
    """Return what a callback on this rank sees, behind one that may set a flag on `ranks`."""
    model = regression(comm, steps_per_execution=case.steps_per_execution)
    events: list[str] = []
    callbacks = [setter(Callback, case, ranks=ranks)] if case.flag else []
    case.run(model, [*callbacks, recorder(Callback, events)])
    return events


def test_the_reference_has_all_cases() -> None:
    assert list(REFERENCE["traces"]) == [case.name for case in CASES]


@pytest.mark.parametrize("steps_per_execution", [1, 2, 3])
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_hooks_are_those_of_keras(comm: Communicator, method: str, steps_per_execution: int) -> None:
    for case in CASES:
        if (case.method, case.steps_per_execution, case.flag) == (method, steps_per_execution, ""):
            assert ours(comm, case, "all") == keras_s(case), case.name


@pytest.mark.parametrize("ranks", ["all", "root"])
@pytest.mark.parametrize("steps_per_execution", [1, 2, 3])
@pytest.mark.parametrize("flag", ["stop_training", "stop_evaluating", "stop_predicting"])
def test_a_flag_ends_the_loop_where_keras_does(
    comm: Communicator, flag: str, steps_per_execution: int, ranks: str
) -> None:
    for case in CASES:
        if (case.flag, case.steps_per_execution) == (flag, steps_per_execution):
            assert ours(comm, case, ranks) == keras_s(case), case.name
