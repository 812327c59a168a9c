"""Draws what `cost_model` predicts for machines that nobody here has: ``python -m benchmarks.plot_scale``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.cost_model import Job, Machine, StepTime, flat, hierarchical, sharded
from benchmarks.launch import ROOT

CORES = 64  # of a machine
SERVER = Machine(
    latency_within=2e-6,
    per_byte_of_memory=1 / 200e9,
    per_byte_of_core=1 / 15e9,
    per_operation=1 / 60e9,
    per_weight=2e-9,
    per_weight_updated=2e-9,
    per_weight_rounded=1.5e-9,
    fixed=0.5e-3,
)
NETWORKS = {  # latency and bytes
    "1 Gbit/s": replace(SERVER, latency=30e-6, per_byte=8e-9),
    "10 Gbit/s": replace(SERVER, latency=20e-6, per_byte=0.8e-9),
    "100 Gbit/s": replace(SERVER, latency=3e-6, per_byte=0.08e-9),
}
TRAINED = Job((5_000_000,) * 10, rows=16_384)
COUNTS = [2**power for power in range(1, 13)]  # of cores, in all


class Way(NamedTuple):
    """How a line is predicted, and drawn.

    Attributes:
        name: at its end; empty for a line that another one's name is for, too.
        predict: of `cost_model`.
        ranks: how many a machine has at most.
        colour: of the line and its name.
        style: of the line, as dashes and gaps, or None.
    """

    name: str
    predict: Callable[[Machine, Job], StepTime]
    ranks: int
    colour: str
    style: tuple[float, ...] | None = None


IN_HALVES = partial(hierarchical, bfloat16=True)
WAYS = (
    Way("flat", flat, CORES, "#8d99ae"),
    Way("hierarchical,\nsharded (dotted)", hierarchical, CORES, "#1b6ca8"),
    Way("", sharded, CORES, "#a5d8ff", (1, 1.5)),
    Way("bfloat16", IN_HALVES, CORES, "#e09f3e"),
    Way("bfloat16, 16\nranks of 4 cores", IN_HALVES, 16, "#d1495b"),
)
_GREY = "#555555"
_LINE = 0.045  # of an axis's height, for a line of a name


def on(cores: int, ranks: int) -> Job:
    """Return the job on so many cores, of which each machine has `CORES` at most, and has so many ranks at most."""
    machines = max(1, cores // CORES)
    of_machine = cores // machines
    ranks = min(ranks, of_machine)
    return replace(TRAINED, machines=machines, ranks=ranks, cores=of_machine // ranks)


def draw(path: Path) -> None:
    """Write the plot: a panel for each network, with the seconds of a step on 2 to 4,096 cores."""
    figure, axes = plt.subplots(1, len(NETWORKS), figsize=(14, 5.2), sharey=True)
    for axis, (name, machine) in zip(axes, NETWORKS.items(), strict=True):
        _panel(axis, machine)
        axis.set_title(name, loc="left", fontsize=11, fontweight="bold")
    axes[0].set_ylabel("seconds a step")
    figure.suptitle(
        f"Predicted: a step of {TRAINED.weights / 1e6:.0f} million weights and {TRAINED.rows:,} rows,"
        f" on machines of {CORES} cores, a rank for each core",
        x=0.045,
        ha="left",
        fontsize=12,
    )
    figure.subplots_adjust(left=0.045, right=0.91, top=0.85, bottom=0.12, wspace=0.36)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _panel(axis: Axes, machine: Machine) -> None:
    axis.axvspan(COUNTS[0], CORES, color="#f4f4f1", lw=0, zorder=0)
    axis.text(CORES, 0.018, "one machine ", color=_GREY, fontsize=8.5, ha="right")
    alone = flat(machine, on(1, 1)).seconds
    ideal = [alone / cores for cores in COUNTS]
    axis.plot(COUNTS, ideal, color=_GREY, lw=0.9, ls=(0, (4, 3)), zorder=1)
    ends = [("ideal", ideal[-1], _GREY)]
    for way in WAYS:
        seconds = [way.predict(machine, on(cores, way.ranks)).seconds for cores in COUNTS]
        style = "-" if way.style is None else (0, way.style)
        axis.plot(COUNTS, seconds, color=way.colour, lw=2, ls=style, zorder=3)
        if way.name:
            ends.append((way.name, seconds[-1], way.colour))
    axis.set(xscale="log", yscale="log", xlim=(COUNTS[0], COUNTS[-1]), ylim=(0.015, 60))
    axis.xaxis.set_major_locator(FixedLocator([2, 8, 64, 512, 4096]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda cores, _: _cores_and_machines(int(cores))))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
    axis.tick_params(which="both", length=0, labelsize=8.5)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.grid(axis="y", color="#dddddd", lw=0.7)
    _write_names(axis, ends)


def _cores_and_machines(cores: int) -> str:
    machines = cores // CORES
    return (
        f"{cores:,}" + (" cores" if cores == 2 else "") + (f"\n{machines} machines" if machines > 1 else "")
    )


def _write_names(axis: Axes, ends: list[tuple[str, float, str]]) -> None:
    """Write each line's name where it ends, and those of near ones a little apart."""
    ends = sorted(ends, key=lambda end: end[1])
    to_height = axis.transScale + axis.transLimits
    heights = [float(to_height.transform((COUNTS[-1], value))[1]) for _, value, _ in ends]
    needed = [_LINE * (2 + one[0].count("\n") + other[0].count("\n")) / 2 for one, other in pairwise(ends)]
    for _ in range(100):  # each pushes those that are too near a little further
        for i, gap in enumerate(needed):
            lacking = max(0.0, gap - (heights[i + 1] - heights[i]))
            heights[i] -= lacking / 2
            heights[i + 1] += lacking / 2
    for (name, _, colour), height in zip(ends, heights, strict=True):
        axis.annotate(
            name,
            (1, height),
            xycoords="axes fraction",
            xytext=(6, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            fontsize=9,
            linespacing=1.05,
        )


def main() -> None:
    """Draw the plot of docs/scaling.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "scaling.png", help="where the plot goes")
    draw(parser.parse_args().out)


if __name__ == "__main__":
    main()
