"""What a batch's hooks cost: those that nobody overrides, against calling them directly, and with their message."""

from __future__ import annotations

from typing import Any

from benchmarks.alternate import Action, alternate
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.workload import network
from distfit.callbacks import Callback, CallbackList, Logs

MICROSECONDS = 1e6
BATCHES = 20_000
CALLBACKS = 10


class Idle(Callback):
    """Overrides a hook of each epoch, and none of a batch."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Do nothing."""


class OnAllRanks(Callback):
    """Overrides both hooks of a batch."""

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Do nothing."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Do nothing."""


class OnRoot(Callback):
    """Overrides the hook that follows a batch, on root alone."""

    ranks = "root"

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Do nothing."""


def measure(job: Job) -> list[Figure]:
    """Return what both hooks of a batch take, beyond a loop that calls none, and against one that calls them itself.

    Ranks: every rank of the job.
    """
    idle = [Idle() for _ in range(CALLBACKS)]
    figures = [
        _beyond_nothing(job, "ten callbacks without batch hooks", idle, BATCHES, at_most=0.2),
        _beyond_nothing(job, "batch hooks on all ranks", [OnAllRanks()], BATCHES // 40),
        _beyond_nothing(job, "a batch hook on root", [OnRoot()], BATCHES // 40),
    ]
    if job.ranks.size == 1:
        figures.append(_against_direct_calls(job))
    return figures


def _beyond_nothing(
    job: Job, name: str, callbacks: list[Any], batches: int, at_most: float | None = None
) -> Figure:
    batches = job.repeats(batches)
    hooks = loop(CallbackList(callbacks, model=network(job.world, hidden=())), logs(job), batches)
    compared = alternate(
        job.ranks.together(hooks), job.ranks.together(lambda: _nothing(batches)), job.alternations
    )
    with_hooks, without = compared.medians
    microseconds = (with_hooks - without) / batches * MICROSECONDS
    return Figure(name, job.ranks.size, microseconds, "us/batch", job.alternations, at_most=at_most)


def _against_direct_calls(job: Job) -> Figure:
    batches = job.repeats(BATCHES)
    callbacks = [OnAllRanks() for _ in range(CALLBACKS)]
    hooks = loop(CallbackList(callbacks, model=network(job.world, hidden=())), logs(job), batches)
    compared = alternate(
        job.ranks.together(hooks),
        job.ranks.together(direct_calls(callbacks, logs(job), batches)),
        job.alternations,
    )
    name = "ten callbacks with batch hooks / calling them"
    return Figure(name, 1, compared.ratio, "x", job.alternations, compared.spread, at_most=1.5)


def logs(job: Job) -> Logs:
    """Return what a step of training tells hooks."""
    return network(job.world, hidden=()).new_scores().logs()


def loop(hooks: Any, batch_logs: Logs, batches: int) -> Action:
    """Return a loop over batches that calls the hooks of a list of callbacks."""

    def call() -> None:
        for batch in range(batches):
            hooks.on_train_batch_begin(batch)
            hooks.on_train_batch_end(batch, batch_logs)

    return call


def direct_calls(callbacks: list[OnAllRanks], batch_logs: Logs, batches: int) -> Action:
    """Return the same loop, which calls each callback itself."""

    def call() -> None:
        for batch in range(batches):
            for callback in callbacks:
                callback.on_train_batch_begin(batch, batch_logs)
            for callback in callbacks:
                callback.on_train_batch_end(batch, batch_logs)

    return call


def _nothing(batches: int) -> None:
    for _ in range(batches):
        pass


if __name__ == "__main__":
    run(measure)
