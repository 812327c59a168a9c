"""What a batch's hooks cost: those that nobody overrides, and one that does nothing."""

from __future__ import annotations

from typing import Any

from benchmarks.alternate import Action, alternate
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.workload import network
from distfit.callbacks import Callback, CallbackList

MICROSECONDS = 1e6


class Idle(Callback):
    """Overrides a hook of each epoch, and none of a batch."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Do nothing."""


class OnAllRanks(Callback):
    """Overrides the hook that follows a batch."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Do nothing."""


class OnRoot(Callback):
    """Does the same on root alone."""

    ranks = "root"

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Do nothing."""


def measure(job: Job) -> list[Figure]:
    """Return what both hooks of a batch take, beyond a loop that calls none.

    Ranks: every rank of the job.
    """
    idle: list[Callback] = [Idle() for _ in range(10)]
    return [
        _figure(job, "ten callbacks without batch hooks", idle, batches=20_000, at_most=0.2),
        _figure(job, "a batch hook on all ranks", [OnAllRanks()], batches=500),
        _figure(job, "a batch hook on root", [OnRoot()], batches=500),
    ]


def _figure(
    job: Job, name: str, callbacks: list[Callback], batches: int, at_most: float | None = None
) -> Figure:
    batches = job.repeats(batches)
    hooks = _hooks(job, callbacks, batches)
    compared = alternate(
        job.ranks.together(hooks), job.ranks.together(lambda: _nothing(batches)), job.alternations
    )
    with_hooks, without = compared.medians
    microseconds = (with_hooks - without) / batches * MICROSECONDS
    return Figure(name, job.ranks.size, microseconds, "us/batch", job.alternations, at_most=at_most)


def _hooks(job: Job, callbacks: list[Callback], batches: int) -> Action:
    model = network(job.world, hidden=())
    hooks = CallbackList(callbacks, model=model)
    logs = model.new_scores().logs()

    def call() -> None:
        for batch in range(batches):
            hooks.on_train_batch_begin(batch)
            hooks.on_train_batch_end(batch, logs)

    return call


def _nothing(batches: int) -> None:
    for _ in range(batches):
        pass


if __name__ == "__main__":
    run(measure)
