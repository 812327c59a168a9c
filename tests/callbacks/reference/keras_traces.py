"""Write keras_traces.json: the hooks that Keras calls, in their order, that distfit's are compared with.

Run by hand, with Keras 3.15.1 and JAX 0.10.2 in an environment of its own:
``KERAS_BACKEND=jax PYTHONPATH=tests python tests/callbacks/reference/keras_traces.py``.

The file holds each event once, in a list, and each trace as numbers into that list.
"""

import json
from pathlib import Path

import keras
from support.hook_cases import Case, cases, recorder, setter


def trace(case: Case) -> list[str]:
    """Return what a callback sees."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"], steps_per_execution=case.steps_per_execution)
    events: list[str] = []
    callbacks = [setter(keras.callbacks.Callback, case)] if case.flag else []
    case.run(model, [*callbacks, recorder(keras.callbacks.Callback, events)])
    return events


def written(traces: dict[str, list[str]]) -> str:
    """Return traces as JSON, a line for each."""
    numbers: dict[str, int] = {}
    lines = [
        f"    {json.dumps(name)}: {[numbers.setdefault(event, len(numbers)) for event in events]}"
        for name, events in traces.items()
    ]
    joined = ",\n".join(lines)
    head = f'{{\n  "keras": "{keras.__version__}",\n  "events": {json.dumps(list(numbers))},\n  "traces": {{'
    return f"{head}\n{joined}\n  }}\n}}\n"


if __name__ == "__main__":
    traces = {case.name: trace(case) for case in cases()}
    Path(__file__).with_name("keras_traces.json").write_text(written(traces))
