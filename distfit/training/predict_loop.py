"""The prediction loop, and how its rows come together in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from distfit.callbacks import CallbackList
from distfit.callbacks.dispatch.logs import AggregatedLogs
from distfit.comm import Agreed
from distfit.data import Batch, Feed, unpack
from distfit.training.gather import Rows, all_rows
from distfit.training.step import PREDICTION, agree_on_step, inference_step

if TYPE_CHECKING:
    from distfit.training.model import Model


def predict(
    model: Model, feed: Feed, callbacks: CallbackList, check_next: Callable[[int], None], rows: Rows
) -> None:
    """Predict each global batch once.

    Args:
        model: the model.
        feed: the global batches.
        callbacks: what is told of it.
        check_next: raises if the number of ranks that see another batch makes no sense.
        rows: gets this rank's rows, with their places among those of all ranks.

    Ranks: every rank of `model.comm.current`; one small message a batch, and one more. The outputs between two batch
        hooks are gathered only if a callback wants to see them.
    """
    comm = model.comm.current
    model.stop_predicting = False
    callbacks.on_predict_begin()
    feed.begin(0, model.progress.seed)
    has_next = comm.reach("the start of a prediction", has_next=feed.has_next).has_next
    hooks_came_before = callbacks.has_hook("on_predict_batch_begin")
    batch = 0
    while has_next:
        callbacks.on_predict_batch_begin(batch)
        executed = Rows()
        for _ in range(model.steps_per_execution):
            has_next = predict_step(
                model, feed.fetch(batch), executed, hooks_came_before=hooks_came_before
            ).has_next
            check_next(has_next)
            batch += 1
            if not has_next:
                break
        if callbacks.has_hook("on_predict_batch_end"):
            callbacks.on_predict_batch_end(batch - 1, AggregatedLogs(outputs=all_rows(comm, executed)))
        rows.extend(executed)
        if model.stop_predicting:
            break
    callbacks.on_predict_end()


def predict_step(model: Model, batch: Batch, rows: Rows, *, hooks_came_before: bool) -> Agreed:
    """Predict one global batch, and add this rank's outputs to its rows.

    Ranks: every rank of `model.comm.current`; one small message.
    """

    def measure() -> np.ndarray:
        x, _, _ = unpack(batch)
        rows.add(batch.place, batch.rows, model.engine.predict(x, inference_step(model, batch)))
        return np.empty(0)

    return agree_on_step(
        model, model.comm.current, batch, measure, PREDICTION, hooks_came_before=hooks_came_before
    )
