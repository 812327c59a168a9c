"""The exponential moving average of the weights (Polyak and Juditsky, 1992)."""

from collections.abc import Mapping, Sequence

import numpy as np

from distfit.optimizers.arena import Chunk, Run, Step

SLOT = "ema"


def accumulate(chunk: Chunk, step: Step, momentum: float) -> None:
    """Move the average towards the weights: ``average = momentum * average + (1 - momentum) * weights``.

    The first step starts the average at the weights, as in Keras, so that there is no bias to correct.
    """
    average = chunk.slots[SLOT]
    if step.number == 1:
        np.copyto(average, chunk.weights)
        return
    np.multiply(average, momentum, out=average)
    np.multiply(chunk.weights, 1.0 - momentum, out=chunk.scratch)
    np.add(average, chunk.scratch, out=average)


def swap(weights: np.ndarray, average: np.ndarray) -> None:
    """Exchange the weights and their average, in place."""
    kept = weights.copy()
    np.copyto(weights, average)
    np.copyto(average, kept)


def overwrite(parameters: np.ndarray, slots: Mapping[str, np.ndarray], runs: Sequence[Run]) -> None:
    """Put the average in the weights' place.

    Args:
        parameters: the arena.
        slots: the optimizer's, by name.
        runs: of the arena, that are overwritten.

    Ranks: local.
    """
    for run in runs:
        place = slice(run.start, run.stop)
        np.copyto(parameters[place], slots[SLOT][place])
