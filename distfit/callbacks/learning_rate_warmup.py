"""Raises the learning rate gradually at the start of training, and scales it with the batch."""

from __future__ import annotations

from typing import Any

from distfit.callbacks import learning_rate
from distfit.callbacks.callback import Callback, Logs


class LearningRateWarmup(Callback):
    """Raises the learning rate from batch to batch until it is the optimizer's own.

    This is the gradual warmup of Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour" (2017,
    arXiv 1706.02677, section 2.2), and with `reference_batch_size` their linear scaling rule (section 2.1): a batch
    that is k times as large takes a learning rate that is k times as large. For the n-th of N global batches, from 1,
    the learning rate is ``initial + (target - initial) * n / N``; the last one has the whole of it, and from then on it
    is left alone.

    A batch of distfit is that of all ranks together, so that neither it nor the learning rate follows from the number
    of ranks: more ranks alone need no scaling. A larger `batch_size` does.

    Args:
        epochs: over how many epochs it rises, which may be a fraction.
        steps: over how many global batches, instead of `epochs`.
        initial: what it rises from. Defaults to the optimizer's own rate if that is scaled, as in the paper, and to 0
            otherwise.
        reference_batch_size: the batch size for which the optimizer's own rate was chosen: the rate is scaled by
            ``batch_size / reference_batch_size``.
        batch_size: the global batch's. Defaults to that of `fit`.
        verbose: 1 prints when the warmup is over.

    Attributes:
        target: what it rises to; None before training.
        is_over: whether it is there.

    Raises:
        ValueError: for arguments that are not positive; at the start of training, if `fit` does not know how many
            batches an epoch has, or how large they are, and it is not said here.
        TypeError: at the start of training, if a schedule gives the optimizer's learning rate.

    An optimizer is scaled and warmed up once: another `fit` goes on where the last one ended. A training that begins at
    a later epoch than the first (`initial_epoch`) is past it, unless it was restored in the midst of it. Until it is
    over it overrules what other callbacks do to the learning rate. The momentum is not corrected for the changes (the
    paper's remark 2): over a warmup of many steps the correction is close to 1. The logs of each epoch get the
    ``learning_rate``.

    Example:
        >>> import numpy as np
        >>> from distfit import Sequential, callbacks, layers, optimizers
        >>> model = Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile(optimizers.SGD(0.25), loss="mean_squared_error")
        >>> warmup = callbacks.LearningRateWarmup(epochs=4)
        >>> history = model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=6, callbacks=[warmup], verbose=0)
        >>> history.history["learning_rate"]
        [0.0625, 0.125, 0.1875, 0.25, 0.25, 0.25]

    Ranks: all; each computes the same number, and no message is sent for it.
    """

    state_names = ("_first_step", "initial", "target", "is_over")

    def __init__(
        self,
        epochs: float = 5,
        steps: int | None = None,
        initial: float | None = None,
        reference_batch_size: int | None = None,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> None:
        _check(epochs=epochs, steps=steps, reference_batch_size=reference_batch_size, batch_size=batch_size)
        self.epochs = epochs
        self.steps = steps
        self.reference_batch_size = reference_batch_size
        self.batch_size = batch_size
        self.verbose = verbose
        self._given_initial = initial
        self._optimizer: Any = None
        self._epoch = 0
        self._length = 0
        self._scale = 1.0
        self._reset()

    def _reset(self) -> None:
        self._first_step: int | None = None  # the number of the batch with which the warmup began
        self.initial = 0.0
        self.target: float | None = None
        self.is_over = False

    def on_train_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        learning_rate.require_settable(self.model)
        self._length, self._scale = self._find_length(), self._find_scale()
        if self._optimizer is not self.model.optimizer:
            self._optimizer = self.model.optimizer
            self._reset()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._epoch = epoch
        if self.target is None:
            self._begin(is_start=epoch == 0)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:  # noqa: ARG002
        if self.is_over or self.target is None or self._first_step is None:
            return
        number = self.model.progress.step - self._first_step + 1
        if number < self._length:
            part = (self.target - self.initial) * number / self._length
            self.model.optimizer.learning_rate = self.initial + part
            return
        self.model.optimizer.learning_rate = self.target
        self.is_over = True
        if self.verbose:
            self.say(f"Epoch {self._epoch + 1}: the warmup is over, at a learning rate of {self.target:g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:  # noqa: ARG002
        learning_rate.log(self.model, logs)

    def _begin(self, *, is_start: bool) -> None:
        """Find out what it rises from and to; by the present rate, which is the optimizer's own at the start.

        A training that was restored in the midst of its warmup has the rate of its last step. That lies on the line
        from the initial rate to the target, of which both, or all but one factor, are known.
        """
        present, done = learning_rate.read(self.model), self.model.progress.step
        if is_start:
            done = 0
        elif not 0 < done < self._length:
            self.target, self.is_over = present, True
            return
        part = done / self._length
        if self._given_initial is not None:
            self.initial = self._given_initial
            own = (self.initial + (present - self.initial) / part) / self._scale if done else present
        else:
            rises_from = 0.0 if self.reference_batch_size is None else 1.0
            own = present / (rises_from + (self._scale - rises_from) * part) if done else present
            self.initial = rises_from * own
        self.target = own * self._scale
        self._first_step = self.model.progress.step - done

    def _find_length(self) -> int:
        if self.steps is not None:
            return self.steps
        steps_per_epoch: int | None = (self.params or {}).get("steps")
        if steps_per_epoch is None:
            raise ValueError(
                f"LearningRateWarmup(epochs={self.epochs}) has to know how many batches an epoch has: give fit a"
                " steps_per_epoch, or LearningRateWarmup steps= instead of epochs. Received: data without a length"
            )
        return max(1, round(self.epochs * steps_per_epoch))

    def _find_scale(self) -> float:
        if self.reference_batch_size is None:
            return 1.0
        batch_size = self.batch_size or (self.params or {}).get("batch_size")
        if batch_size is None:
            raise ValueError(
                f"LearningRateWarmup(reference_batch_size={self.reference_batch_size}) has to know the batch size: give"
                " fit or LearningRateWarmup a batch_size. Received: None"
            )
        return float(batch_size) / self.reference_batch_size


def _check(**arguments: float | None) -> None:
    """Raise unless what is given is positive."""
    for name, value in arguments.items():
        if value is not None and not value > 0:
            raise ValueError(f"{name} of a LearningRateWarmup is positive. Received: {name}={value}")
