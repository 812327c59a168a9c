"""The evaluation loop: the training loop without gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from distfit.callbacks import CallbackList
from distfit.data import Feed
from distfit.training.feeds import check_any
from distfit.training.scores import Scores
from distfit.training.step import interrupt, test_step

if TYPE_CHECKING:
    from distfit.training.model import Model


def evaluate(
    model: Model,
    feed: Feed,
    callbacks: CallbackList,
    check_next: Callable[[int], None],
    *,
    in_training: bool = False,
) -> Scores:
    """Evaluate each global batch once, with metrics of its own: those of a training under way are not touched.

    Args:
        model: the model.
        feed: the global batches.
        callbacks: what is told of it.
        check_next: raises if the number of ranks that see another batch makes no sense.
        in_training: whether it breaks off where the training is asked to end: the time may be short.

    Returns:
        The metrics over all rows of all ranks that were evaluated, finished.

    Ranks: every rank of `model.comm.current`; one small message a batch, and two more.
    """
    comm = model.comm.current
    scores = model.new_scores()
    model.stop_evaluating = False
    may_break_off = in_training and not model.interrupted
    callbacks.on_test_begin()
    feed.begin(0, model.progress.seed)
    has_next = comm.reach("the start of an evaluation", has_next=feed.has_next).has_next
    check_any(has_next)
    hooks_came_before = callbacks.has_hook("on_test_batch_begin")
    batch = 0
    while has_next:
        callbacks.on_test_batch_begin(batch)
        for _ in range(model.steps_per_execution):
            agreed = test_step(model, feed.fetch(batch), scores, hooks_came_before=hooks_came_before)
            if agreed.interrupted and may_break_off:
                interrupt(model)
            has_next = agreed.has_next
            check_next(has_next)
            batch += 1
            if not has_next:
                break
        callbacks.on_test_batch_end(batch - 1, scores.logs())
        if model.stop_evaluating or (model.interrupted and may_break_off):
            break
    scores.finish(comm)
    callbacks.on_test_end(scores.epoch_logs())
    return scores
