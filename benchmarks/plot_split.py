"""Draws what `split` measured: a bar for each network and number of ranks, and what the machine needs at least.

python -m benchmarks.plot_split [results/reference.json [docs/step.png]]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.launch import ROOT
from benchmarks.split import PARTS

_COLORS = dict(
    zip(
        PARTS,
        ("#8da0cb", "#2166ac", "#92c5de", "#4393c3", "#f4a582", "#d6604d", "#b2182b", "#fddbc7", "#bababa"),
        strict=True,
    )
)
_DARK = ("forward", "reduction", "update")
_SMALLEST = 0.06  # of a bar: what is smaller has no room for its name


def main(figures: Path, picture: Path) -> None:
    """Write the picture."""
    bars = _bars(json.loads(figures.read_text(encoding="utf-8"))["figures"])
    height = 0.62 * len(bars) + 1.2
    _, axes = plt.subplots(figsize=(9, height), layout="constrained")
    for place, ((name, ranks), parts) in enumerate(bars.items()):
        total, left = sum(parts[part] for part in PARTS), 0.0
        for part in PARTS:
            width = parts[part] / total
            axes.barh(-place, width, left=left, color=_COLORS[part], edgecolor="white", linewidth=0.5)
            if width > _SMALLEST:
                color = "white" if part in _DARK else "black"
                axes.text(left + width / 2, -place, part, ha="center", va="center", fontsize=8, color=color)
            left += width
        least = (parts["products at least"] + parts["update at least"]) / total
        axes.plot([least, least], [-place - 0.4, -place + 0.4], color="black", linewidth=1.6)
        axes.text(1.01, -place, f"{total:.1f} ms", va="center", fontsize=9)
        label = f"{name}, {ranks} rank{'s' if ranks > 1 else ''}"
        axes.text(-0.01, -place, label, ha="right", va="center", fontsize=9)
    axes.set(
        xlim=(0, 1), yticks=[], xlabel="part of a step; the line is what products and update need at least"
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0))
    plt.savefig(picture, dpi=150)


def _bars(figures: list[dict[str, Any]]) -> dict[tuple[str, int], dict[str, float]]:
    """Return the milliseconds of each part, by network and ranks, in the order in which they were measured."""
    bars: dict[tuple[str, int], dict[str, float]] = {}
    for figure in figures:
        name, _, part = figure["name"].rpartition(": ")
        bars.setdefault((name, figure["ranks"]), {})[part] = figure["value"]
    bars = {key: parts for key, parts in bars.items() if parts.keys() >= set(PARTS)}
    return dict(sorted(bars.items(), key=lambda bar: [one[0] for one in bars].index(bar[0][0])))


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    defaults = [ROOT / "benchmarks" / "results" / "reference.json", ROOT / "docs" / "step.png"]
    main(*(given + defaults[len(given) :]))
