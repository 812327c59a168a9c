"""Initializers that draw from one distribution, whatever the weight's shape."""

from abc import abstractmethod

import numpy as np

from distfit.initializers.initializer import Initializer

_TRUNCATE_AT = 2.0  # standard deviations, as in Keras


class RandomInitializer(Initializer):
    """Base of initializers that draw.

    Args:
        seed: of a generator of the initializer's own, for the same values wherever it is used. None draws
            from the model's generator, so that two layers start with different weights.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    @abstractmethod
    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return an array of that shape, drawn from that generator."""

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return an array of that shape, drawn from the initializer's generator or else from this one."""
        return self.draw(shape, generator if self.seed is None else np.random.default_rng(self.seed))


class RandomUniform(RandomInitializer):
    """Uniform in ``[minval, maxval)``.

    Args:
        minval: the least value.
        maxval: the upper bound.
        seed: see `RandomInitializer`.

    Example:
        >>> import numpy as np
        >>> from distfit import initializers
        >>> values = initializers.RandomUniform(-0.1, 0.1)((3, 2), np.random.default_rng(0))
        >>> values.shape, bool(np.abs(values).max() <= 0.1)
        ((3, 2), True)
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return an array of that shape, drawn from that generator."""
        return generator.uniform(self.minval, self.maxval, shape)


class RandomNormal(RandomInitializer):
    """Normal.

    Args:
        mean: of the distribution.
        stddev: its standard deviation.
        seed: see `RandomInitializer`.

    Example:
        >>> import numpy as np
        >>> from distfit import initializers
        >>> initializers.RandomNormal(mean=5.0, stddev=0.1)((2,), np.random.default_rng(0)).round().tolist()
        [5.0, 5.0]
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return an array of that shape, drawn from that generator."""
        return generator.normal(self.mean, self.stddev, shape)


class TruncatedNormal(RandomInitializer):
    """Normal, values further than two standard deviations from the mean being drawn again.

    Args:
        mean: of the distribution before truncation.
        stddev: its standard deviation before truncation.
        seed: see `RandomInitializer`.

    Example:
        >>> import numpy as np
        >>> from distfit import initializers
        >>> values = initializers.TruncatedNormal(stddev=1.0)((1000,), np.random.default_rng(0))
        >>> bool(np.abs(values).max() <= 2.0)
        True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return an array of that shape, drawn from that generator."""
        return self.mean + self.stddev * truncated_standard_normal(shape, generator)


def truncated_standard_normal(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Draw standard normal numbers of at most 2 in size, by rejection (one in 22 is drawn again)."""
    values = generator.standard_normal(shape)
    while (outside := np.abs(values) > _TRUNCATE_AT).any():
        values[outside] = generator.standard_normal(np.count_nonzero(outside))
    return values
