"""Which part of an update a rank makes, where several share the arrays that it changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from distfit.optimizers.arena import Run

_ALIGNMENT = 16  # elements: two ranks never write to one cache line


@dataclass(frozen=True, slots=True)
class Segment:
    """Where one trainable parameter lies in the arena.

    Attributes:
        name: of the parameter, such as ``"dense/kernel"``.
        start: first element.
        stop: one past its last element.
    """

    name: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """What an update reads and changes.

    Attributes:
        parameters: the arena, ``(size,)``.
        gradients: its gradients, ``(size,)``, summed over the global batch.
        slots: the optimizer's arrays by name, ``(size,)`` each.
    """

    parameters: np.ndarray
    gradients: np.ndarray
    slots: dict[str, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one rank updates.

    Attributes:
        segments: parameters, or pieces of them, in the arena's order.
        runs: the same, as the optimizer arranges them.
    """

    segments: tuple[Segment, ...]
    runs: list[Run]

    def places(self) -> list[slice]:
        """Return where the elements lie, neighbours as one."""
        starts: list[int] = []
        stops: list[int] = []
        for segment in self.segments:
            if stops and stops[-1] == segment.start:
                stops[-1] = segment.stop
            else:
                starts.append(segment.start)
                stops.append(segment.stop)
        return [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]


def alone(number: float) -> float:
    """Return the sum of a number over the parts of an update, where there is one part."""
    return number


def divide(segments: Sequence[Segment], count: int, *, whole: bool) -> list[list[Segment]]:
    """Divide parameters among ranks, as evenly as that goes.

    Args:
        segments: in the arena's order.
        count: of the ranks.
        whole: whether a parameter stays in one piece. Else all elements are cut in `count` stretches.

    Returns:
        Each rank's, in the arena's order; those of some may be empty.

    Ranks: local; a pure function, equal on all ranks.

    Example:
        >>> from distfit.optimizers.parts import Segment, divide
        >>> kernel, bias = Segment("kernel", 0, 96), Segment("bias", 96, 112)
        >>> [[(s.start, s.stop) for s in part] for part in divide([kernel, bias], 2, whole=False)]
        [[(0, 48)], [(48, 96), (96, 112)]]
        >>> [[s.name for s in part] for part in divide([kernel, bias], 2, whole=True)]
        [['kernel'], ['bias']]
    """
    if whole:
        return _deal(segments, count)
    total = sum(segment.stop - segment.start for segment in segments)
    cuts = [total * i // count // _ALIGNMENT * _ALIGNMENT for i in range(count)] + [total]
    parts: list[list[Segment]] = []
    for first, last in pairwise(cuts):
        part, before = [], 0
        for segment in segments:
            size = segment.stop - segment.start
            start, stop = max(first - before, 0), min(last - before, size)
            if start < stop:
                part.append(Segment(segment.name, segment.start + start, segment.start + stop))
            before += size
        parts.append(part)
    return parts


def _deal(segments: Sequence[Segment], count: int) -> list[list[Segment]]:
    """Give the largest first, each to the rank that has least."""
    parts: list[list[Segment]] = [[] for _ in range(count)]
    sizes = [0] * count
    for segment in sorted(segments, key=lambda one: one.start - one.stop):
        least = sizes.index(min(sizes))
        parts[least].append(segment)
        sizes[least] += segment.stop - segment.start
    return [sorted(part, key=lambda one: one.start) for part in parts]


def check_inside(ordered: Sequence[Segment], size: int) -> None:
    """Raise if segments overlap, or leave an arena of `size` elements.

    Raises:
        ValueError: naming the first that does.
    """
    free = 0
    for segment in ordered:
        if not free <= segment.start <= segment.stop <= size:
            raise ValueError(
                f"segments lie side by side in an arena of {size} elements. "
                f"Received: {segment}, where elements from {free} were free"
            )
        free = segment.stop
