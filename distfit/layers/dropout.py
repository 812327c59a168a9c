"""Dropout, of the same numbers on whichever rank a row is."""

from dataclasses import replace
from typing import Any

import numpy as np

from distfit import config
from distfit.layers.context import Context
from distfit.layers.layer import Backward, Layer


class Dropout(Layer):
    """Zeros in training, at random; what remains is scaled so that the mean stays (Srivastava et al., 2014).

    What is dropped from a row depends on the seed, the step, the layer and the row's place in the global
    batch, and not on which rank holds it.

    Args:
        rate: the share that is dropped, in [0, 1].
        seed: of the layer's own; None takes the run's.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Raises:
        ValueError: if the rate is no share.

    Example:
        >>> import numpy as np
        >>> from distfit import layers
        >>> y, _ = layers.Dropout(0.5).forward(np.ones((1, 8)), layers.lone_context(rows=1, training=True))
        >>> sorted(set(y.ravel().tolist()))
        [0.0, 2.0]
    """

    def __init__(self, rate: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        if not 0 <= rate <= 1:
            raise ValueError(f"the rate of Dropout is a share from 0 to 1. Received: rate={rate}")
        self.rate = rate
        self.seed = seed

    def forward(self, x: np.ndarray, context: Context) -> tuple[np.ndarray, Backward]:
        """Drop numbers in training; return x itself otherwise."""
        if not context.training or self.rate == 0:
            return x, lambda dy: dy
        generator = context.rng_rows
        if self.seed is not None:
            generator = replace(generator, seed=self.seed)
        # Eight float32 numbers come out of one of the generator's blocks, against four float64 ones.
        kept = generator.uniform(x.shape[1:], "float32") >= self.rate
        scale = 1 / (1 - self.rate) if self.rate < 1 else 0.0

        def masked(array: np.ndarray) -> np.ndarray:
            result = array * kept
            result *= scale
            return result

        return masked(np.asarray(x, config.floatx())), masked
