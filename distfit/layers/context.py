"""What a layer is given with its input: everything it may know of the step and of the other ranks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from distfit.random import RowGenerator


def _one_rank(array: np.ndarray) -> np.ndarray:
    return array


def _nothing() -> None:
    pass


@dataclass(slots=True)
class Context:
    """What a layer is given with its input.

    Attributes:
        training: True in the forward pass of a training step.
        rng_rows: random numbers for this rank's rows, equal on whichever rank holds a row.
        sum_over_batch: takes an array of float64 (any shape, equal on all ranks) that sums over this rank's rows, and
            returns the sum over the rows of the global batch. An agreement: every rank that holds rows calls it, in
            the same order. Usable in `forward` and in the backward function.
        needs_input_gradient: False where nothing before the layer is trained: its backward may then return None.
        gradients_are_written: called in the backward function when the gradients of the layer's weights are all there,
            for good, and its input's is not: they are sent while that is computed. It does nothing for a class that
            has not set `Layer.tells_of_gradients` itself.
    """

    training: bool
    rng_rows: RowGenerator
    sum_over_batch: Callable[[np.ndarray], np.ndarray] = _one_rank
    needs_input_gradient: bool = True
    gradients_are_written: Callable[[], None] = _nothing


def lone_context(rows: int, *, training: bool = False, seed: int = 0) -> Context:
    """Return a context in which one rank holds the whole batch: to try a layer by hand.

    Example:
        >>> import numpy as np
        >>> from distfit import layers
        >>> x = np.array([[-1.0, 2.0]])
        >>> y, backward = layers.ReLU().forward(x, layers.lone_context(rows=1))
        >>> y.tolist()
        [[0.0, 2.0]]
    """
    return Context(training=training, rng_rows=RowGenerator(seed, stream=0, step=0, first_row=0, rows=rows))
