"""What the machines of a job take: the numbers of `cost_model`, measured by other things than those that it predicts.

Compute is measured on each rank by itself, in steps of two networks with two batch sizes: a step takes something once,
something for each weight, and something for each weight and row, and these three are fitted to the four. Latency and
bandwidth are measured by sums of one number and of a million.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks.alternate import Action, Timed
from benchmarks.cost_parts import ACCESSES_OF_SUM, Machine, doublings
from benchmarks.job import Job
from benchmarks.workload import network, noise
from distfit import Sequential, optimizers
from distfit.comm import Communicator
from distfit.comm.compression import Bfloat16
from distfit.comm.lone import LoneTransport

WIDTHS, ROWS, STEPS = (128, 768), (64, 192), 12
OPERATIONS = 6  # of a weight and a row
SENT, ROUNDED = 1_000_000, 1_000_000  # numbers
UPDATED, ADDED = 4_000_000, 16_000_000  # that no cache holds
MESSAGES, TIMES = 1000, 10  # what is short is done so often: it is interrupted then as often as what is long


class Calibration:
    """Measures the machines of a job.

    Args:
        job: the ranks, either all on one machine, or each on one of its own.
        machines: how many.

    Attributes:
        actions: what is measured, by name.

    Ranks: every rank makes one, and calls all actions in the same order.
    """

    def __init__(self, job: Job, machines: int) -> None:
        self._machines, self._ranks = machines, job.ranks.size // machines
        self._steps, self._messages = job.repeats(STEPS), job.repeats(MESSAGES)
        self._times = job.repeats(TIMES)
        number, numbers = np.zeros(1), np.zeros(SENT, np.float32)
        actions: dict[str, Action] = {
            "messages": repeated(partial(job.ranks.all_reduce, number), self._messages),
            "reduction": partial(job.ranks.all_reduce, numbers),
            "update": repeated(update(UPDATED), self._times),
            "rounding": repeated(_rounding(ROUNDED), self._times),
            "sum": repeated(sum_in_memory(ADDED), self._times),
        }
        self._alone: list[tuple[str, int, int]] = []  # an action, its network's weights, its rows
        for width in WIDTHS:
            model = network(Communicator.alone(), (width, width))
            for rows in ROWS:
                name = f"{width} wide, {rows} rows"
                x, y = noise(rows * self._steps, seed=0)
                actions[name] = partial(model.fit, x, y, batch_size=rows, verbose=0)
                self._alone.append((name, model.engine.parameters.size, rows))
        self.actions: dict[str, Timed] = {name: job.ranks.together(one) for name, one in actions.items()}

    def machine(self, seconds: Mapping[str, float]) -> Machine:
        """Return what it means that the actions took so long.

        Ranks: local.
        """
        fixed, per_operation, per_weight = self._fit(seconds)
        per_weight_updated = seconds["update"] / (self._times * UPDATED)
        per_byte_of_core = seconds["sum"] / (
            self._times * ACCESSES_OF_SUM * 4 * ADDED
        )  # while others work, too
        latency = seconds["messages"] / self._messages / doublings(self._machines * self._ranks)
        machine = Machine(
            latency_within=latency,
            per_byte_of_memory=per_byte_of_core / self._ranks,
            per_byte_of_core=per_byte_of_core,
            per_operation=per_operation,
            per_weight=max(0.0, per_weight - per_weight_updated),
            per_weight_updated=per_weight_updated,
            per_weight_rounded=seconds["rounding"]
            / (self._times * 4 * ROUNDED),  # twice to bfloat16, twice back
            fixed=fixed,
        )
        if self._machines == 1:
            return machine
        sent = 4 * SENT * (self._machines - 1) / self._machines  # by a reduction, twice
        beside = 2 * doublings(self._machines) * latency + ACCESSES_OF_SUM * sent * per_byte_of_core
        per_byte = (seconds["reduction"] - beside) / (2 * sent)
        return replace(machine, latency=latency, latency_within=0.0, per_byte=per_byte)

    def _fit(self, seconds: Mapping[str, float]) -> tuple[float, float, float]:
        """Return what a step takes once, for an operation, and for a weight: least squares of relative errors."""
        measured = np.array([seconds[name] / self._steps for name, _, _ in self._alone])
        terms = np.array([[1, OPERATIONS * weights * rows, weights] for _, weights, rows in self._alone])
        found, *_ = np.linalg.lstsq(terms / measured[:, np.newaxis], np.ones(len(measured)), rcond=None)
        fixed, per_operation, per_weight = map(float, found)
        return fixed, per_operation, per_weight


def weights_of_layers(model: Sequential) -> tuple[int, ...]:
    """Return how many weights each layer has, of those that have any.

    Ranks: local.
    """
    return tuple(trained for *_, trained in model.engine.rows_of_summary() if trained)


def update(size: int) -> Action:
    """Return an update of so many weights by Adam."""
    weights, gradients = np.zeros(size, np.float32), np.zeros(size, np.float32)
    adam = optimizers.Adam()
    adam.build(size, np.float32, [optimizers.Segment("all", 0, size)])
    return partial(adam.apply, weights, gradients, 1.0)


def sum_in_memory(size: int) -> Action:
    """Return an addition of so many numbers to others."""
    one, other = np.zeros(size, np.float32), np.zeros(size, np.float32)
    return partial(np.add, one, other, out=one)


def _rounding(size: int) -> Action:
    """Return a compressed sum of so many numbers, with nobody to send them to."""
    numbers = np.random.default_rng(0).normal(size=size).astype(np.float32)
    exchange = Bfloat16(LoneTransport())
    exchange.prepare([size])
    return partial(exchange.all_reduce, [numbers])


def repeated(action: Action, times: int) -> Action:
    """Return what does something so often."""

    def act() -> None:
        for _ in range(times):
            action()

    return act
