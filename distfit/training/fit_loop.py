"""The training loop: there is one of it, and it knows neither its engine nor how many ranks there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from distfit.callbacks import CallbackList
from distfit.callbacks.dispatch.logs import AggregatedLogs, combined
from distfit.data import Feed
from distfit.training.feeds import check_any
from distfit.training.recovery import Recovery
from distfit.training.step import apply_rest
from distfit.utils.activity import now

if TYPE_CHECKING:
    from distfit.training.model import Model

Validate = Callable[[int], AggregatedLogs]


def fit(
    model: Model,
    feed: Feed,
    epochs: int,
    callbacks: CallbackList,
    validate: Validate,
    check_next: Callable[[int], None],
    recovery: Recovery,
) -> None:
    """Train for some epochs.

    Args:
        model: what is trained.
        feed: its global batches.
        epochs: the number behind the last one. The first is `Progress.initial_epoch`.
        callbacks: what is told of it.
        validate: returns the ``val_`` values of an epoch; nothing where it is not due.
        check_next: raises if the number of ranks that see another batch makes no sense.
        recovery: takes checkpoints, and goes on from one.

    Ranks: every rank, within an operation: an error on one of them, anywhere in here, joins the next small message of
        the others, whichever that is.
    """
    model.stop_training = model.interrupted = False
    model.progress.forget_gradients()
    recovery.look()
    callbacks.on_train_begin()
    model.shared_state.place()
    recovery.restore()
    logs: dict[str, object] = recovery.logs
    for epoch in range(model.progress.initial_epoch, epochs):  # of which on_train_begin may have decided
        callbacks.on_epoch_begin(epoch)
        trained = train_epoch(model, feed, epoch, callbacks, check_next, recovery)
        if model.interrupted:
            callbacks.on_interrupt()  # now, since validation may take longer than there is time
        logs = combined(trained, validate(epoch))
        recovery.after_validation()
        callbacks.on_epoch_end(epoch, logs)
        recovery.after_epoch(epoch, logs)
        if model.stop_training:
            break
    if model.interrupted:
        callbacks.on_interrupt()  # once in a training: here if a validation was interrupted
    model.finish_training()
    callbacks.on_train_end(logs)
    recovery.end()


def train_epoch(
    model: Model,
    feed: Feed,
    epoch: int,
    callbacks: CallbackList,
    check_next: Callable[[int], None],
    recovery: Recovery,
) -> dict[str, object]:
    """Train on each global batch of an epoch once, or on the rest of them.

    Returns:
        The epoch's metrics, over all rows of all ranks.

    Ranks: every rank; the messages of each step, and one or two of its own.
    """
    progress, comm = model.progress, model.comm
    progress.hooks_came_before = callbacks.has_hook("on_train_batch_begin")
    progress.logs_are_read = callbacks.has_hook("on_train_batch_end") or model.has_own_train_step
    model.update.unsettle()
    batch, logs = recovery.begin_epoch(epoch)
    progress.has_next = comm.reach("the start of an epoch", has_next=feed.has_next).has_next
    check_any(batch + progress.has_next)
    while progress.has_next and not recovery.is_stopped:
        callbacks.on_train_batch_begin(batch)
        for _ in range(model.steps_per_execution):
            recovery.before_step()
            logs = fetch_and_train(model, feed)
            check_next(progress.has_next)
            batch += 1
            if not progress.has_next:
                break
        callbacks.on_train_batch_end(batch - 1, logs)
        recovery.after_batch(epoch, batch, logs)
        # One that is interrupted goes on with whole updates: it makes them all.
        if model.stop_training and not (model.interrupted and progress.accumulated):
            break
    if progress.accumulated:  # equal on all ranks, and so is whether they meet here
        apply_rest(model)
    model.update.collect_state()
    model.divergence.check()
    recovery.before_validation(epoch, batch, logs)
    model.scores.finish(comm)
    return combined(logs, model.scores.epoch_logs())


def fetch_and_train(model: Model, feed: Feed) -> dict[str, object]:
    """Fetch this rank's rows of the next global batch, and train on it; by the user's `train_step`, if there is one.

    Raises:
        TypeError: on all ranks, if that one never called the model's own, in which the ranks agree.

    Ranks: every rank; the messages of the step.
    """
    progress = model.progress
    now.step = progress.step
    progress.fetched, progress.has_next = feed.fetch(progress.step), -1
    try:
        logs: dict[str, object] = model.train_step(progress.fetched)
    finally:
        progress.fetched = None
    if progress.has_next < 0:
        raise TypeError(
            f"{type(model).__name__}.train_step has to call super().train_step(data), in which the ranks agree and the"
            " weights are updated. To change the loss or the gradients alone, override compute_loss or"
            " compute_gradients"
        )
    return logs
