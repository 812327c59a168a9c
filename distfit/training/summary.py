"""The layers of a model as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from distfit.training.model import Model


def summary(model: Model) -> str:
    """Return a table of the layers, their output shapes and their numbers of weights."""
    rows = [("Layer", "Output shape", "Weights")]
    graph = model.graph_engine.graph
    shapes = {op.layer: graph.shape_of(op) for op in graph.calls}
    trainable = total = 0
    for layer in model.layers:
        count = sum(int(np.prod(p.shape)) for p in layer.parameters)
        total += count
        trainable += sum(int(np.prod(p.shape)) for p in layer.parameters if p.trainable and layer.trainable)
        rows.append(
            (
                f"{model.graph_engine.names[layer]} ({type(layer).__name__})",
                str(("batch", *shapes[layer])).replace("'", ""),
                f"{count:,}",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
    rule = "─" * len(lines[0])
    return "\n".join(
        [f'Model "{model.name}"', rule, lines[0], rule, *lines[1:], rule,
         f"{total:,} weights, of which {trainable:,} are trained"]
    )  # fmt: skip
