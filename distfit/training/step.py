"""One global batch: each rank's part of it, one agreement, one reduction, one update."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from distfit.callbacks.dispatch.logs import AggregatedLogs
from distfit.comm import Agreed, Communicator, Phase, key_of, signals
from distfit.data import Batch, unpack
from distfit.engines import Evaluated, Step
from distfit.training.scores import Scores

if TYPE_CHECKING:
    from distfit.training.model import Model


class Kind(NamedTuple):
    """A kind of step.

    Attributes:
        name: in errors.
        stop_flag: the model's attribute that ends a loop of such steps.
        key: by which ranks know that they are in the same kind.
    """

    name: str
    stop_flag: str
    key: int


TRAINING, EVALUATION, PREDICTION = (
    Kind(name, flag, key_of(name))
    for name, flag in (
        ("training", "stop_training"),
        ("evaluation", "stop_evaluating"),
        ("prediction", "stop_predicting"),
    )
)


def train_step(model: Model, batch: Batch, scores: Scores) -> AggregatedLogs:
    """Train on one global batch, of which this rank holds some rows or none.

    Ranks: every rank; one small message, what the model's `Update` sends, two more messages for each batch
        normalization.
    """
    comm, progress = model.comm, model.progress
    if progress.accumulated == 0:
        model.engine.begin_gradients()
        model.numerics.begin_update()
    is_last = progress.accumulated + 1 == model.compiled.gradient_accumulation_steps
    step = training_step(model, comm, batch, is_last=is_last)

    def measure() -> np.ndarray:
        x, y, sample_weight = unpack(batch)
        evaluated = model.compute_gradients(x, y, sample_weight, step)
        if is_last:
            model.engine.finish_gradients()
        return measured(model, scores, batch, evaluated)

    if is_last and not batch.rows:
        model.engine.finish_gradients()
    with model.update:
        agreed = agree_on_step(
            model,
            comm,
            batch,
            measure,
            TRAINING,
            hooks_came_before=progress.hooks_came_before,
            word=progress.asks_to_save,
            is_last=is_last,
        )
        count_step(model, batch, step, agreed, scores)
        if is_last:
            apply_gradients(model)
    model.divergence.check_step()
    return scores.logs() if progress.logs_are_read else AggregatedLogs()


def count_step(model: Model, batch: Batch, step: Step, agreed: Agreed, scores: Scores) -> None:
    """Take in what all ranks have agreed on in a step.

    Ranks: every rank, alike; the messages of `Numerics.accepts`.
    """
    progress = model.progress
    progress.is_to_save |= bool(agreed.word)
    if agreed.interrupted:
        interrupt(model)
    if model.numerics.accepts(batch, step, agreed.sums):
        progress.weight += scores.absorb(agreed.sums)
    else:
        scores.disregard()
    progress.has_next = agreed.has_next
    progress.accumulated += 1
    progress.step += 1


def interrupt(model: Model) -> None:
    """Let a training end, since a signal asked some rank for it.

    Ranks: every rank, alike: they have agreed on it.
    """
    model.stop_training = model.interrupted = True
    signals.heed_stop()


def test_step(model: Model, batch: Batch, scores: Scores, *, hooks_came_before: bool) -> Agreed:
    """Evaluate one global batch.

    Args:
        model: the model.
        batch: this rank's rows.
        scores: gets what they add to the metrics.
        hooks_came_before: as in `agree_on_step`.

    Ranks: every rank of `model.comm.current`; one small message.
    """
    comm = model.comm.current

    def measure() -> np.ndarray:
        x, y, sample_weight = unpack(batch)
        step = inference_step(model, batch)
        evaluated = model.engine.evaluate(x, y, sample_weight, step, model.compute_loss)
        return measured(model, scores, batch, evaluated)

    agreed = agree_on_step(model, comm, batch, measure, EVALUATION, hooks_came_before=hooks_came_before)
    scores.absorb(agreed.sums)
    return agreed


def agree_on_step(
    model: Model,
    comm: Communicator,
    batch: Batch,
    measure: Callable[[], np.ndarray],
    kind: Kind,
    *,
    hooks_came_before: bool = False,
    word: int = 0,
    is_last: bool = False,
) -> Agreed:
    """Do this rank's part of a step, and agree on it, and on whether to stop.

    A rank without rows calls no layer and no code of the user's. It does not know which sums the others' layers will
    ask for, and need not: it joins each small message as it comes, with zeros, until that of the step's end.

    Args:
        model: the model.
        comm: the ranks.
        batch: this rank's rows.
        measure: computes what they contribute.
        kind: of the step.
        hooks_came_before: whether callbacks ran before it; equal on all ranks.
        word: root's, for all ranks.
        is_last: whether an update follows.

    Ranks: every rank of `comm`.
    """
    decisions = model.shared_state.decisions
    # What a hook before the batch decided on some ranks, or drew by chance on each, comes to hold here.
    riders = decisions.offer(comm) if hooks_came_before else ()
    if batch.rows:
        measurements = measure()
        agreed = comm.agreement.agree(
            Phase.STEP,
            measurements,
            key=kind.key,
            name=kind.name,
            has_next=batch.has_next,
            stop=getattr(model, kind.stop_flag),
            word=word,
            riders=riders,
        )
    else:
        while True:
            agreed = comm.agreement.agree(
                None,
                key=kind.key,
                name=kind.name,
                has_next=batch.has_next,
                stop=getattr(model, kind.stop_flag),
                word=word,
                riders=riders,
            )
            if agreed.phase is Phase.FORWARD_SUMS:
                model.engine.absorb_sums(agreed.key, agreed.sums)
            elif agreed.phase is Phase.BACKWARD:
                model.update.begin_sums()
                model.update.begin_sum_from(0)
            elif agreed.phase is not Phase.BACKWARD_SUMS:
                break
    if is_last:
        model.update.bind()
    if riders or agreed.stop:
        # What follows may fail on one rank, or be a message: all ranks have begun all sums, and none may be under way.
        model.update.complete()
        agreed.sums = agreed.sums.copy()
    has_changed = agreed.stop
    if riders:
        has_changed |= decisions.settle(comm, agreed.riders.tolist(), f"in a step of {kind.name}")
    if agreed.stop:
        setattr(model, kind.stop_flag, True)
    if has_changed:
        # A rank that failed in it must not leave the others in a sum.
        comm.reach("what was decided before a step")
    return agreed


def apply_gradients(model: Model) -> None:
    """Add all ranks' gradients, and change the weights by their exact mean over the rows since the last update.

    Raises:
        NonFiniteNumbers: on all ranks, before the weights change; see `distfit.training.numerics`.

    Ranks: every rank, directly after an agreement; what the model's `Update` sends.
    """
    progress = model.progress
    weight, progress.weight, progress.accumulated = progress.weight, 0.0, 0
    model.update.reduce()
    if not model.numerics.allows_update() or weight == 0:
        return
    # From here on the weights change. An error half-way leaves them neither old nor new.
    progress.torn = True
    model.update.apply(weight)
    progress.torn = False
    model.update.make_room()


def apply_rest(model: Model) -> None:
    """Update the weights by gradients that were accumulated, and are left at the end of an epoch.

    Ranks: every rank; one small message, and what the model's `Update` sends.
    """
    model.engine.finish_gradients()
    with model.update:
        model.comm.reach("the rest of the accumulated gradients")
        model.update.bind()
        apply_gradients(model)


def measured(model: Model, scores: Scores, batch: Batch, evaluated: Evaluated) -> np.ndarray:
    """Return what a rank's rows contribute to the scores."""
    _, y, sample_weight = unpack(batch)
    total = evaluated.total + model.engine.penalty() * evaluated.weight
    return scores.measure(total, evaluated.weight, y, evaluated.y_pred, sample_weight)


def training_step(model: Model, comm: Communicator, batch: Batch, *, is_last: bool) -> Step:
    """Return what the engine may know of a step of training, and in the last before an update whom it tells what."""
    progress = model.progress
    sum_over_batch = partial(sum_over_ranks, comm)
    step = Step(True, progress.seed, progress.step, batch.rows, batch.first_row, sum_over_batch)
    if is_last and model.update.overlaps:
        step.begin_backward = partial(begin_backward, model, comm)
        step.gradients_are_final = model.update.begin_sum_from
    return step


def begin_backward(model: Model, comm: Communicator) -> None:
    """Agree that all ranks compute gradients now, so that each may begin to sum some; see `training.overlapped`.

    Ranks: those with rows; the others join without knowing, in `agree_on_step`.
    """
    comm.agreement.agree(Phase.BACKWARD, key=TRAINING.key, name=TRAINING.name)
    model.update.begin_sums()


def sum_over_ranks(comm: Communicator, layer: int, array: np.ndarray, backward: bool) -> np.ndarray:
    """Sum what a layer adds up over its rows over all ranks; see `Step.sum_over_batch`.

    Ranks: those with rows; the others join without knowing, in `agree_on_step`.
    """
    phase = Phase.BACKWARD_SUMS if backward else Phase.FORWARD_SUMS
    sums: np.ndarray = comm.agreement.agree(phase, array, key=layer).sums.copy()
    return sums


def inference_step(model: Model, batch: Batch) -> Step:
    """Return what the engine may know of a step of evaluation or prediction: layers sum over nothing there."""

    def sum_over_batch(layer: int, array: np.ndarray, backward: bool) -> np.ndarray:  # noqa: ARG001
        return array

    return Step(False, model.progress.seed, 0, batch.rows, batch.first_row, sum_over_batch)
