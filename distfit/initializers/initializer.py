"""What draws the first value of a weight."""

from abc import ABC, abstractmethod

import numpy as np

from distfit.utils.configured import Configured


class Initializer(Configured, ABC):
    """Base of all initializers."""

    @abstractmethod
    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return an array of that shape.

        Args:
            shape: of the weight.
            generator: of the model's seed. Every rank draws; root's values are broadcast when `fit` starts.
        """
