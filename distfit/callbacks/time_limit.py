"""Ends training while there is time left to save, before a batch system ends the job."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Literal

from distfit.callbacks.callback import Callback, Logs, Ranks
from distfit.utils.duration import Duration, in_seconds

_PROGRAM_BEGAN = time.monotonic()  # when distfit was imported, which is close


class TimeLimit(Callback):
    """Ends training when the time that is left may not be enough to go on.

    Args:
        limit: how long the job may take: seconds, a `datetime.timedelta`, or text as Slurm takes it, ``"HH:MM:SS"`` or
            ``"D-HH:MM:SS"``. Defaults to what Slurm tells in ``SLURM_JOB_END_TIME``.
        grace: what is needed behind the training, such as for saving; written in the same ways.
        check: where it looks at the clock. After each ``"batch"`` it ends within an epoch, whose validation and last
            hooks still run; it takes one small message a batch. After each ``"epoch"`` takes none of its own, but the
            limit is missed where the first epoch alone is longer, or one is much longer than those before.
        clock: returns seconds; for tests.

    Attributes:
        is_over: whether it has ended a training; on root.

    Raises:
        ValueError: if `check` or a time makes no sense; at the start of training, on all ranks, if no limit is given
            and Slurm tells none.

    The time counts from the start of the batch job, where Slurm tells it in ``SLURM_JOB_START_TIME``; from that of
    ``python -m distfit run``, whose restarts share one limit; otherwise from the import of distfit. Training goes on
    while there is time left for the longest batch so far (the longest epoch, with ``check="epoch"``), the longest end
    of an epoch so far, and the grace.

    Example:
        >>> import itertools
        >>> import numpy as np
        >>> from distfit import Sequential, callbacks, layers
        >>> model = Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile(loss="mean_squared_error")
        >>> ticks = itertools.count(step=10_000)  # a clock: each time it is looked at, 10,000 seconds have gone by
        >>> limit = callbacks.TimeLimit(60_000, grace=600, check="epoch", clock=lambda: next(ticks))
        >>> history = model.fit(
        ...     np.ones((4, 1)), np.ones((4, 1)), epochs=99, callbacks=[limit], verbose=0
        ... )  # doctest: +ELLIPSIS
        TimeLimit: ... s are left, and going on may take 10000 s, the rest 600 s: training ends
        >>> history.epoch
        [0, 1, 2, 3, 4]

    Ranks: root, whose clock decides for all.
    """

    ranks: Ranks = "root"

    def __init__(
        self,
        limit: Duration | None = None,
        grace: Duration = 60.0,
        check: Literal["batch", "epoch"] = "batch",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if check not in ("batch", "epoch"):
            raise ValueError(f"check is 'batch' or 'epoch'. Received: check={check!r}")
        self.limit = None if limit is None else in_seconds(limit)
        self.grace = in_seconds(grace)
        self.check = check
        self.is_over = False
        self._clock = clock
        self._end = 0.0  # by the clock, as is the next one
        self._last_look = 0.0
        self._longest = 0.0  # from look to look, in seconds
        self._longest_epoch_end = 0.0
        if check == "batch":
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def on_train_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._last_look = self._clock()
        self._end = self._find_end(self._last_look)
        self._longest = self._longest_epoch_end = 0.0
        self.is_over = False

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._longest = max(self._longest, self._look())
        self._decide()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:  # noqa: ARG002
        if self.check == "epoch":
            self._longest = max(self._longest, self._look())
        else:
            self._longest_epoch_end = max(self._longest_epoch_end, self._look())
        self._decide()

    def _look(self) -> float:
        """Look at the clock, and return how long that has been ago."""
        before, self._last_look = self._last_look, self._clock()
        return self._last_look - before

    def _decide(self) -> None:
        left, rest = self._end - self._last_look, self._longest_epoch_end + self.grace
        if left >= self._longest + rest or self.is_over:
            return
        self.is_over = self.model.stop_training = self.model.interrupted = True
        self.say(
            f"TimeLimit: {left:.0f} s are left, and going on may take {self._longest:.0f} s, the rest {rest:.0f} s:"
            " training ends"
        )

    def _find_end(self, now: float) -> float:
        """Return when the time is over, by the clock."""
        if self.limit is not None:
            began = _told("SLURM_JOB_START_TIME") or _told("DISTFIT_BEGAN")
            ago = time.monotonic() - _PROGRAM_BEGAN if began is None else time.time() - began
            return now - ago + self.limit
        end = _told("SLURM_JOB_END_TIME")
        if end is None:
            raise ValueError(
                "TimeLimit has to know how long the job may take: give a limit, such as TimeLimit('01:00:00')."
                " Received: None, and the environment has no SLURM_JOB_END_TIME"
            )
        return now + (end - time.time())


def _told(name: str) -> float | None:
    """Return a time of the environment, in seconds of the Unix epoch; None where there is none."""
    text = os.environ.get(name, "")
    return float(text) if text.isdigit() else None
