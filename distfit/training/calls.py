"""Keras's methods of a model: from their arguments to the loops."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from distfit.callbacks import CallbackList, History
from distfit.data import Inputs, read_inputs, split_validation
from distfit.training.evaluate_loop import evaluate as evaluate_loop
from distfit.training.feeds import Batching, check_together
from distfit.training.fit_loop import fit as fit_loop
from distfit.training.gather import GATHER, Rows, WrittenRows
from distfit.training.predict_loop import predict as predict_loop
from distfit.training.recovery import Recovery
from distfit.training.start import begin
from distfit.training.validation import Validation, check_frequency, read_validation

if TYPE_CHECKING:
    from distfit.training.model import Model


def fit(
    self: Model,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: Any = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: dict[int, float] | None = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: Any = 1,
) -> History:
    """Train the model, on all ranks together, as one rank would on its own.

    Args:
        x: inputs: an array, anything with `len` and rows by index, a tuple or dict of those, an iterable of global
            batches, or a `data.LocalPart` of any of these. Without `LocalPart` every rank is given the same.
        y: targets, ``(rows, ...)``.
        batch_size: rows of a global batch, over all ranks. Defaults to 32.
        epochs: the number of the last epoch.
        verbose: 0 is silent, 1 or ``"auto"`` a progress bar where root's output is a terminal, 2 a line for each epoch.
            Where it is none, as under `mpirun`, 1 is 2: a bar would take a message a step, and nobody would see it.
        callbacks: a callback, a list of them, or a `CallbackList`.
        validation_split: the fraction of rows, from the end and before shuffling, to validate on.
        validation_data: ``(x, y)`` or ``(x, y, sample_weight)`` to validate on, or an iterable.
        shuffle: whether each epoch visits the rows in an order of its own.
        class_weight: weights of the loss by class number.
        sample_weight: weights of the loss by row.
        initial_epoch: the number of the first epoch.
        steps_per_epoch: global batches of an epoch. Defaults to one pass over the data.
        validation_steps: global batches of a validation. Defaults to all.
        validation_batch_size: rows of a global batch of a validation. Defaults to `batch_size`.
        validation_freq: validate each so many epochs, or after the epochs of a list (the first is 1).

    Returns:
        The history: ``.history`` holds a list for each key of the logs, ``.epoch`` the epochs' numbers.

    Raises:
        DataMismatch: if ranks differ in model, data or arguments.
        NotCompiled: before `compile`.
        RemoteError: and the class of what was raised, if another rank failed; see `distfit.errors`.
        ValueError: for arguments that make no sense. All of these on all ranks.

    Ranks: every rank together. A step sends one small message, and one more or a reduction of the gradients; callbacks
        and batch normalization may add to that, see docs/messages.md.
    """
    self.comm.require_all_ranks("fit")
    with self.comm.operation("fit"):
        self.compiled  # noqa: B018 - raises before compile
        check_frequency(validation_freq)
        training = read_inputs(x, y, sample_weight, class_weight)
        validation_inputs: Inputs | None = None
        if validation_data is not None:
            validation_inputs = read_validation(validation_data)
        elif validation_split:
            self.comm.reach("the split of validation data")
            rows = 0 if training.source is None else len(training.source)
            lengths = self.comm.all_gather_object(rows)
            training, validation_inputs = split_validation(
                training, validation_split, lengths, self.comm.rank
            )
        batching = Batching(batch_size, steps_per_epoch, shuffle=shuffle, training=True)
        validation_batching = Batching(validation_batch_size or batch_size, validation_steps)
        settings: dict[str, object] = {
            "the optimizer's numbers": self.optimizer.numbers(),
            "epochs and validation_freq": (initial_epoch, epochs, validation_freq),
            "class_weight": class_weight,
        }
        start = begin(
            self,
            {"": (training, batching), "validation ": (validation_inputs, validation_batching)},
            settings,
            verbose,
        )
        feed = start.feeds[""]
        listed = callback_list(
            self, callbacks, start.verbose, epochs=epochs, steps=feed.steps, batch_size=batch_size
        )
        self.progress.initial_epoch = initial_epoch
        with (
            start.reading(),
            Recovery(self, listed, feed, start.data, epochs) as recovery,
            listed.driven(),
        ):
            fit_loop(
                self,
                feed,
                epochs,
                listed,
                Validation(self, start.feeds.get("validation "), validation_inputs, validation_freq, listed),
                partial(check_together, inputs=training, comm=self.comm),
                recovery,
            )
        history: History = self.history
        return history


def evaluate(
    self: Model,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    verbose: Any = "auto",
    sample_weight: Any = None,
    steps: int | None = None,
    callbacks: Any = None,
    return_dict: bool = False,
) -> Any:
    """Evaluate the model on all ranks together; each row counts once, whatever the number of ranks.

    Args:
        x, y, sample_weight: as in `fit`.
        batch_size: rows of a global batch, over all ranks. Defaults to 32.
        verbose: as in `fit`.
        steps: global batches. Defaults to all.
        callbacks: as in `fit`.
        return_dict: whether values are returned by name.

    Returns:
        The loss, or a list of it and the metrics in the order of `compile`, or a dict; equal on all ranks.

    Raises:
        NotCompiled, DataMismatch, RemoteError, ValueError: as `fit`, on all ranks.

    Ranks: every rank together; one small message a batch. In a solo block, or a callback that runs on some ranks only,
        this rank alone.
    """
    with self.comm.operation("evaluate"):
        self.compiled  # noqa: B018 - raises before compile
        inputs = read_inputs(x, y, sample_weight)
        start = begin(self, {"": (inputs, Batching(batch_size, steps))}, {}, verbose)
        feed = start.feeds[""]
        listed = callback_list(
            self,
            callbacks,
            start.verbose,
            history=False,
            epochs=1,
            steps=feed.steps,
            batch_size=batch_size,
        )
        with start.reading(), listed.driven():
            scores = evaluate_loop(
                self, feed, listed, partial(check_together, inputs=inputs, comm=self.comm.current)
            )
    return as_keras_returns(scores.results(), return_dict=return_dict)


def predict(
    self: Model,
    x: Any,
    batch_size: int | None = None,
    verbose: Any = "auto",
    steps: int | None = None,
    callbacks: Any = None,
    *,
    gather: str = "all",
    out: Any = None,
) -> Any:
    """Return the model's output for all rows, in their order.

    Args:
        x: inputs, as in `fit`.
        batch_size: rows of a global batch, over all ranks. Defaults to 32.
        verbose: as in `fit`.
        steps: global batches. Defaults to all.
        callbacks: as in `fit`.
        gather: ``"all"`` ranks get all rows, ``"root"`` alone does and the others get None, or each rank keeps its own
            (``"none"``; None on a rank without any).
        out: an array for the rows, on every rank; into an `np.memmap` of one file each rank writes its own, batch by
            batch.

    Returns:
        An array ``(rows, *output_shape)``, or a list of them where the model has several outputs.

    Raises:
        WouldNotFit: on all ranks, if a node's memory would not hold the rows.
        DataMismatch, RemoteError, ValueError: as `fit`, on all ranks.

    Ranks: every rank together; one small message a batch, and the rows at the end. In a solo block, or a callback that
        runs on some ranks only, this rank alone.
    """
    with self.comm.operation("predict"):
        if gather not in GATHER:
            raise ValueError(f"gather is one of {', '.join(map(repr, GATHER))}. Received: {gather!r}")
        inputs = read_inputs(x)
        start = begin(
            self,
            {"": (inputs, Batching(batch_size, steps))},
            {"gather and out": (gather, out is not None, isinstance(out, np.memmap))},
            verbose,
        )
        feed = start.feeds[""]
        listed = callback_list(
            self,
            callbacks,
            start.verbose,
            history=False,
            epochs=1,
            steps=feed.steps,
            batch_size=batch_size,
        )
        comm = self.comm.current
        rows = WrittenRows(out) if isinstance(out, np.memmap) and feed.is_seekable else Rows()
        with start.reading(), listed.driven():
            predict_loop(self, feed, listed, partial(check_together, inputs=inputs, comm=comm), rows)
        return rows.together(comm, gather, out)


def callback_list(
    model: Model, callbacks: Any, verbose: int, *, history: bool = True, **params: Any
) -> CallbackList:
    """Return the callbacks of a call: the user's, then a history, then a progress display.

    A list of the user's own is taken as it is, as in Keras, but for the history that `fit` returns; it gets the
    parameters of the call, and the model, if it has none.

    Raises:
        ValueError: if such a list is for another model.
    """
    params = {"verbose": verbose, **params}
    if not isinstance(callbacks, CallbackList):
        return CallbackList(callbacks, add_history=history, add_progbar=verbose != 0, model=model, **params)
    if callbacks.model is None:
        callbacks.set_model(model)
    if callbacks.model is not model:
        raise ValueError("the CallbackList was made for another model. Make one with model=model")
    if history and not any(isinstance(callback, History) for callback in callbacks.callbacks):
        callbacks.append(History())
    callbacks.set_params(params)
    return callbacks


def as_keras_returns(results: dict[str, Any], *, return_dict: bool) -> Any:
    """Return log values in the form of Keras: a dict, the one value, or a list of them."""
    if return_dict:
        return results
    values = list(results.values())
    return values[0] if len(values) == 1 else values
