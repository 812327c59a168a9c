"""What one benchmark is started with, and how its figures leave the job."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from benchmarks import machine
from benchmarks.figure import Figure
from benchmarks.ranks import Ranks
from benchmarks.workload import BATCH_SIZE, Rows, load, noise
from distfit.comm import Communicator

ALTERNATIONS = 21
STEPS = 60


@dataclass(frozen=True)
class Job:
    """One benchmark on all ranks of an MPI job.

    Attributes:
        ranks: the job's ranks, without distfit.
        quick: whether it only has to be seen to work: one alternation over two batches.
    """

    ranks: Ranks
    quick: bool

    @cached_property
    def world(self) -> Communicator:
        """The job's ranks, with distfit."""
        return Communicator.world()

    @property
    def alternations(self) -> int:
        """How often two things are measured in turn."""
        return 1 if self.quick else ALTERNATIONS

    def repeats(self, usual: int) -> int:
        """Return how often something short is done for one measurement."""
        return 2 if self.quick else usual

    @cached_property
    def _data(self) -> tuple[Rows, Rows]:
        few = self.repeats(STEPS) * BATCH_SIZE
        return (noise(few, seed=0), noise(few, seed=1)) if self.quick else load()

    @property
    def training(self) -> Rows:
        """Pictures and classes for some steps of training."""
        (x, y), _ = self._data
        return x[: STEPS * BATCH_SIZE], y[: STEPS * BATCH_SIZE]

    @property
    def all_training(self) -> Rows:
        """All pictures and classes to train on."""
        rows, _ = self._data
        return rows

    @property
    def test(self) -> Rows:
        """Pictures and classes to evaluate."""
        _, rows = self._data
        return rows


def run(measure: Callable[[Job], list[Figure]]) -> None:
    """Measure, and print the figures as JSON on root.

    Ranks: every rank of the job.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    job = Job(Ranks(), parser.parse_args().quick)
    figures = [figure.as_dict() for figure in measure(job)]
    if job.ranks.rank == 0:
        print(json.dumps({"machine": machine.describe(), "figures": figures}))
