"""Draws a training history: each quantity on the training and on the validation data, epoch by epoch."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # into a file; a cluster's node has no screen

import matplotlib.pyplot as plt

COLOURS = {"": "#1b6ca8", "val_": "#d1495b"}
LABELS = {"": "training", "val_": "validation"}


def plot_history(history: dict[str, list[float]], path: Path) -> None:
    """Write a PNG with one panel for each quantity of the history.

    Args:
        history: a list of values, one an epoch, by key, as `History.history` has them.
        path: of the file.
    """
    quantities = [key for key in history if not key.startswith("val_")]
    figure, axes = plt.subplots(1, len(quantities), figsize=(4.8 * len(quantities), 3.6), squeeze=False)
    for axis, quantity in zip(axes[0], quantities, strict=True):
        for prefix, colour in COLOURS.items():
            values = history.get(prefix + quantity, [])
            axis.plot(range(1, len(values) + 1), values, color=colour, marker="o", ms=3, label=LABELS[prefix])
        axis.set_xlabel("epoch")
        axis.set_title(quantity, loc="left")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", alpha=0.25)
    axes[0, 0].legend(frameon=False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)
