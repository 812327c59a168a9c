"""Trainings, evaluations and predictions whose hooks Keras and distfit call in the same order.

A case is what `run` does, and which callback sets which stop flag when. What a callback saw is a list of events, each a
hook, its index if it has one, and the keys of its logs: ``"on_epoch_end 0 loss,mae"``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

BATCH = 4
ROWS, VALIDATION_ROWS = 18, 14  # 5 and 4 batches: 3 steps per execution divide neither, 2 do not divide 5
EPOCHS = 3

FIT_HOOKS = (
    "on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_epoch_end", "on_train_end",
)  # fmt: skip
TEST_HOOKS = ("on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end")
PREDICT_HOOKS = ("on_predict_begin", "on_predict_batch_begin", "on_predict_batch_end", "on_predict_end")
HOOKS = (*FIT_HOOKS, *TEST_HOOKS, *PREDICT_HOOKS)
FLAGS = {"fit": "stop_training", "evaluate": "stop_evaluating", "predict": "stop_predicting"}


@dataclass(frozen=True)
class Case:
    """One call of a model's method.

    Attributes:
        method: ``"fit"``, ``"evaluate"`` or ``"predict"``.
        steps_per_execution: batches between two calls of batch hooks.
        options: of `fit`.
        flag: which flag a callback sets, if any.
        hook: in which hook it does.
    """

    method: str
    steps_per_execution: int
    options: tuple[tuple[str, Any], ...] = ()
    flag: str = ""
    hook: str = ""

    @property
    def name(self) -> str:
        """What tells it from the others."""
        options = [f"{name}={value}" for name, value in self.options]
        setting = [f"{self.flag} in {self.hook}"] if self.flag else []
        return ", ".join([self.method, f"steps_per_execution={self.steps_per_execution}", *options, *setting])

    def run(self, model: Any, callbacks: list[Any]) -> None:
        """Call the method, with these callbacks."""
        if self.method == "predict":
            model.predict(rows(ROWS)[0], batch_size=BATCH, verbose=0, callbacks=callbacks)
            return
        if self.method == "evaluate":
            model.evaluate(*rows(VALIDATION_ROWS), batch_size=BATCH, verbose=0, callbacks=callbacks)
            return
        options = dict(self.options)
        if "validation_freq" in options:
            options["validation_data"] = rows(VALIDATION_ROWS)
        model.fit(
            *rows(ROWS), batch_size=BATCH, verbose=0, callbacks=callbacks, **{"epochs": EPOCHS, **options}
        )


def cases() -> Iterator[Case]:
    """Yield all cases."""
    for steps in (1, 2, 3):
        yield Case("fit", steps)
        for frequency in (1, 2):
            yield Case("fit", steps, (("validation_freq", frequency),))
        yield Case("evaluate", steps)
        yield Case("predict", steps)
        each = (("epochs", 2), ("validation_freq", 1))
        for hook in (*FIT_HOOKS, *TEST_HOOKS):
            yield Case("fit", steps, each, "stop_training", hook)
        for hook in TEST_HOOKS:
            yield Case("fit", steps, each, "stop_evaluating", hook)
            yield Case("evaluate", steps, (), "stop_evaluating", hook)
        for hook in PREDICT_HOOKS:
            yield Case("predict", steps, (), "stop_predicting", hook)
    yield Case("fit", 1, (("initial_epoch", 2),))
    yield Case("fit", 1, (("initial_epoch", EPOCHS),))
    yield Case("fit", 1, (("validation_freq", [1, 3]),))


def recorder(base: type, events: list[str], **attributes: Any) -> Any:
    """Return a callback that notes what it sees.

    Args:
        base: the class of callbacks to derive from.
        events: gets what it saw.
        attributes: of the class.
    """

    def noting(hook: str) -> Any:
        def note(self: Any, *arguments: Any, **keywords: Any) -> None:
            *index, logs = (*arguments, *keywords.values())
            events.append(" ".join([hook, *map(str, index), ",".join(logs or ())]).strip())

        return note

    return type("Recorder", (base,), {**{hook: noting(hook) for hook in HOOKS}, **attributes})()


def setter(base: type, case: Case, **attributes: Any) -> Any:
    """Return a callback that sets the case's flag, in the second batch where the hook is one of batches."""
    calls = []

    def set_flag(self: Any, *arguments: Any, **keywords: Any) -> None:
        calls.append(case.hook)
        if len(calls) == (2 if "batch" in case.hook else 1):
            setattr(self.model, case.flag, True)

    return type("Setter", (base,), {case.hook: set_flag, **attributes})()


def rows(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs of two features, and targets."""
    x = np.linspace(-1.0, 1.0, 2 * count).reshape(count, 2)
    return x, x.sum(axis=1, keepdims=True)
