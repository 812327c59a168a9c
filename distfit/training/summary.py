"""A model's parts as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distfit.training.model import Model


def summary(model: Model) -> str:
    """Return a table of the model's parts, their shapes and their numbers of weights."""
    parts = model.engine.rows_of_summary()
    rows = [("Part", "Shape", "Weights"), *((name, shape, f"{size:,}") for name, shape, size, _ in parts)]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
    rule = "─" * len(lines[0])
    total, trained = sum(size for *_, size, _ in parts), sum(size for *_, size in parts)
    return "\n".join(
        [f'Model "{model.name}"', rule, lines[0], rule, *lines[1:], rule,
         f"{total:,} weights, of which {trained:,} are trained"]
    )  # fmt: skip
