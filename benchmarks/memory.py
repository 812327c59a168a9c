"""How much memory the ranks of a machine take together, against as many that know nothing of each other."""

from __future__ import annotations

import threading
from pathlib import Path

from benchmarks import launch
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.node_memory import WIDTH, wide


def measure(job: Job) -> list[Figure]:
    """Return the sum of the ranks' memory while they train 50 million weights by Adam, and its ratio to one rank's.

    Ranks: every rank of the job. Root starts a job of one rank, which measures itself.
    """
    with _Watch() as watch:
        model = wide(job.world, 70 if job.quick else WIDTH)
    megabytes = [kilobytes / 1024 for kilobytes in job.world.all_gather_object(_proportional_set_size())]
    most = [kilobytes / 1024 for kilobytes in job.world.all_gather_object(watch.most)]
    size = job.ranks.size
    figures = [
        Figure(
            f"memory of {model.engine.parameters.size / 1e6:.0f} million weights, Adam",
            size,
            sum(megabytes),
            "MB",
            1,
        ),
        Figure("the most that it took since the model was made", size, sum(most), "MB", 1),
    ]
    if size > 1:
        alone = 0.0
        if job.ranks.rank == 0:
            alone = launch.start("memory", 1, quick=job.quick, timeout_s=120)["figures"][0]["value"]
        alone = job.world.broadcast_object(alone)
        figures.append(
            Figure(
                f"memory of {size} ranks / {size} times that of 1",
                size,
                figures[0].value / (size * alone),
                "x",
                2,
                None,
                0.5,
            )
        )
    return figures


class _Watch:
    """Looks at this process's memory every few milliseconds while a block runs, and keeps the most that it saw."""

    def __init__(self) -> None:
        self.most = 0
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._is_done.wait(0.01):
            self.most = max(self.most, _proportional_set_size())

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self._thread.join()
        self.most = max(self.most, _proportional_set_size())


def _proportional_set_size() -> int:
    """Return this process's memory in kB, with its share of what it has in common with others."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    run(measure)
