"""Walking over a flat arena: the runs that an update touches, in chunks that fit the cache."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Run:
    """Elements that lie side by side and are updated alike.

    Attributes:
        start: first element.
        stop: one past the last element.
        decays: whether weight decay applies to them.
    """

    start: int
    stop: int
    decays: bool

    def slices(self, length: int) -> Iterator[slice]:
        """Yield the run in pieces of at most `length` elements, in order."""
        for start in range(self.start, self.stop, length):
            yield slice(start, min(start + length, self.stop))


@dataclass(frozen=True, slots=True)
class Step:
    """What is the same for all elements of one update.

    Attributes:
        number: of the update, from 1.
        learning_rate: of this update.
        gradient_scale: what the summed gradients have to be multiplied by, to be the mean, and clipped.
    """

    number: int
    learning_rate: float
    gradient_scale: float


@dataclass(slots=True)
class Chunk:
    """Views of all arrays of an update at the same few elements. To be worked on in place.

    Attributes:
        weights: the parameters.
        gradients: the sums over the global batch, yet to be multiplied by `Step.gradient_scale`. Scratch
            afterwards.
        slots: the optimizer's arrays by name.
        scratch: an array of the same length and dtype, with anything in it.
        decay: the weight decay that applies here; 0.0 for none.
        place: where in the arena they are.
    """

    weights: np.ndarray
    gradients: np.ndarray
    slots: dict[str, np.ndarray]
    scratch: np.ndarray
    decay: float
    place: slice


def merge(runs: Iterable[Run]) -> list[Run]:
    """Join neighbours that touch each other and decay alike.

    A gap is never bridged: it may be padding, and as well a parameter that is frozen.

    Args:
        runs: in the arena's order.
    """
    merged: list[Run] = []
    for run in runs:
        if merged and merged[-1].stop == run.start and merged[-1].decays == run.decays:
            merged[-1] = Run(merged[-1].start, run.stop, run.decays)
        else:
            merged.append(run)
    return merged


def decay_weights(chunk: Chunk, step: Step) -> None:
    """Shrink the weights: ``w -= learning_rate * weight_decay * w`` (Loshchilov and Hutter, 2019)."""
    if chunk.decay:
        np.multiply(chunk.weights, 1.0 - step.learning_rate * chunk.decay, out=chunk.weights)
