"""One figure: what was measured, on how many ranks, and what it should be."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    Attributes:
        name: what was measured.
        ranks: how many ranks worked.
        value: the figure.
        unit: of the figure; ``"x"`` for a ratio.
        alternations: how often both sides were measured in turn.
        spread: the middle half of the single values, as lowest and highest, or None.
        at_most: the target, or None for a figure that is told and not judged.
        bytes: what a rank hands to MPI in one such message or step, or None.
        at_least: the target's other end, where a figure may be too low as well.
    """

    name: str
    ranks: int
    value: float
    unit: str
    alternations: int
    spread: tuple[float, float] | None = None
    at_most: float | None = None
    bytes: int | None = None
    at_least: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the figure for JSON."""
        return asdict(self)

    @property
    def verdict(self) -> str:
        """Whether the target was met; a single turn proves nothing."""
        if self.at_most is None or self.alternations == 1:
            return ""
        is_enough = self.at_least is None or self.value >= self.at_least
        return "met" if is_enough and self.value <= self.at_most else "MISSED"

    @property
    def target(self) -> str:
        """What the figure should be."""
        if self.at_most is None:
            return ""
        return f"<= {self.at_most:g}" if self.at_least is None else f"{self.at_least:g} - {self.at_most:g}"


HEADINGS = ("figure", "ranks", "value", "middle half", "target", "", "bytes")


def table(figures: list[Figure]) -> str:
    """Return figures as lines of text."""
    rows = [HEADINGS, *(_cells(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in [lines[0], "-" * len(lines[0]), *lines[1:]])


def _cells(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        str(figure.ranks),
        f"{figure.value:.4g} {figure.unit}",
        "" if figure.spread is None else f"{figure.spread[0]:.4g} - {figure.spread[1]:.4g}",
        figure.target,
        figure.verdict,
        "" if figure.bytes is None else f"{figure.bytes:,}",
    )
