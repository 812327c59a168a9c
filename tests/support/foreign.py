"""A training of some epochs with callbacks of others, and what all of its ranks agree on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from support.small import line, regression

from distfit.comm import Communicator


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Attributes:
        history: of the logs.
        weights: at its end.
        learning_rate: at its end.
    """

    history: dict[str, list[float]]
    weights: list[np.ndarray]
    learning_rate: float


def fit(comm: Communicator, listed: list[Any], **options: Any) -> Outcome:
    """Train on 14 rows, in batches of 4, and validate on 6."""
    model = regression(comm)
    defaults = {"batch_size": 4, "epochs": 6, "verbose": 0, "validation_split": 0.3}
    model.fit(*line(20), callbacks=listed, **{**defaults, **options})
    return Outcome(model.history.history, model.get_weights(), model.optimizer.learning_rate)


def assert_same(here: Outcome, expected: Outcome) -> None:
    """Compare two trainings, of which one may have had another number of ranks."""
    assert list(here.history) == list(expected.history)
    for key, values in expected.history.items():
        np.testing.assert_allclose(here.history[key], values, rtol=1e-4, err_msg=key)
    for weight, other in zip(here.weights, expected.weights, strict=True):
        np.testing.assert_allclose(weight, other, rtol=0, atol=1e-5)
    assert here.learning_rate == expected.learning_rate


def assert_equal_on_all_ranks(comm: Communicator, outcome: Outcome) -> None:
    """Compare what this rank has with root's, bit for bit."""
    root = comm.broadcast_object(outcome)
    assert outcome.history == root.history
    assert outcome.learning_rate == root.learning_rate
    for weight, other in zip(outcome.weights, root.weights, strict=True):
        np.testing.assert_array_equal(weight, other)
