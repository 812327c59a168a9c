"""The prediction loop, and how its rows come together in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from distfit.callbacks import CallbackList
from distfit.callbacks.logs import AggregatedLogs
from distfit.data import Feed, unpack
from distfit.training.gather import Rows, all_rows
from distfit.training.step import PREDICTION, agree_on_step, inference_step

if TYPE_CHECKING:
    from distfit.training.model import Model


def predict(model: Model, feed: Feed, callbacks: CallbackList, check_next: Callable[[int], None]) -> Rows:
    """Predict each global batch once.

    Returns:
        This rank's rows, with their places among those of all ranks.

    Ranks: every rank of `model.comm.current`; one small message a batch, and one more. The outputs of a batch are
        gathered only if a callback wants to see them.
    """
    comm = model.comm.current
    rows = Rows()
    model.stop_predicting = False
    callbacks.on_predict_begin()
    feed.begin(0)
    has_next = comm.reach("the start of a prediction", has_next=feed.has_next).has_next
    batch_number = 0
    while has_next:
        callbacks.on_predict_batch_begin(batch_number)
        batch = feed.fetch(batch_number)

        def measure() -> np.ndarray:
            x, _, _ = unpack(batch)  # noqa: B023 - called before the loop goes on
            rows.add(batch.place, batch.rows, model.engine.predict(x, inference_step(model, batch)))  # noqa: B023
            return np.empty(0)

        has_next = agree_on_step(model, comm, batch, measure, PREDICTION).has_next
        check_next(has_next)
        if callbacks.has_hook("on_predict_batch_end"):
            outputs: Any = all_rows(comm, rows.last if batch.rows else Rows())
            callbacks.on_predict_batch_end(batch_number, AggregatedLogs(outputs=outputs))
        batch_number += 1
        if model.stop_predicting:
            break
    callbacks.on_predict_end()
    return rows
