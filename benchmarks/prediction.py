"""What `cost_model` predicts, against what was measured in turn with the numbers that it predicts from."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import NamedTuple

from benchmarks.alternate import Action, quartiles, take_turns
from benchmarks.calibrate import Calibration
from benchmarks.cost_model import Machine
from benchmarks.figure import Figure
from benchmarks.job import Job

SLACK = 0.25


class Predicted(NamedTuple):
    """Something whose time is predicted.

    Attributes:
        action: does it.
        times: how often.
        seconds: predicts how long it takes once on machines, from what was measured of them.
    """

    action: Action
    times: int
    seconds: Callable[[Machine], float]


def compare(
    job: Job, calibration: Calibration, predictions: Mapping[str, Predicted], turns: int
) -> list[Figure]:
    """Return what was measured of the machines, and for each name what was predicted and measured, and their ratio.

    Ranks: every rank of the job.
    """
    turns = 1 if job.quick else turns
    actions = calibration.actions | {
        name: job.ranks.together(one.action) for name, one in predictions.items()
    }
    times = dict(zip(actions, take_turns(list(actions.values()), turns), strict=True))
    machine = calibration.machine({name: statistics.median(times[name]) for name in calibration.actions})
    figures = [
        Figure(name, job.ranks.size, value, unit, turns) for name, value, unit in _told(machine) if value
    ]
    for name, one in predictions.items():
        measured = [seconds / one.times for seconds in times[name]]
        figures += _compared(name, job.ranks.size, one.seconds(machine), measured)
    return figures


def _told(machine: Machine) -> list[tuple[str, float, str]]:
    return [
        ("message between machines", machine.latency * 1e6, "us"),
        ("message within a machine", machine.latency_within * 1e6, "us"),
        ("network", 8e-9 / machine.per_byte if machine.per_byte else 0.0, "Gbit/s"),
        ("memory, of each rank", 1e-9 / machine.per_byte_of_core, "GB/s"),
        ("products", 1e-9 / machine.per_operation, "Gflop/s"),
        ("products, of a weight", machine.per_weight * 1e9, "ns"),
        ("update, of a weight", machine.per_weight_updated * 1e9, "ns"),
        ("rounding, of a weight", machine.per_weight_rounded * 1e9, "ns"),
        ("once a step", machine.fixed * 1e3, "ms"),
    ]


def _compared(name: str, ranks: int, predicted: float, measured: list[float]) -> list[Figure]:
    turns, median = len(measured), statistics.median(measured)
    spread = quartiles([predicted / one for one in measured])
    return [
        Figure(f"{name}, predicted", ranks, predicted * 1e3, "ms", turns),
        Figure(f"{name}, measured", ranks, median * 1e3, "ms", turns),
        Figure(
            f"{name}, predicted / measured",
            *(ranks, predicted / median, "x", turns, spread),
            at_most=1 + SLACK,
            at_least=1 - SLACK,
        ),
    ]
