"""Initializers whose spread depends on how many inputs and outputs a weight connects.

A layer then neither amplifies nor dampens its signal, whatever its width. The six named ones are
`VarianceScaling` with the arguments of their papers: Glorot and Bengio ("Understanding the difficulty of
training deep feedforward neural networks", 2010), He et al. (arXiv:1502.01852, 2015) and LeCun et al.
("Efficient BackProp", 1998).
"""

import math
from typing import Literal, get_args

import numpy as np

from distfit.initializers.random import RandomInitializer, truncated_standard_normal

Mode = Literal["fan_in", "fan_out", "fan_avg"]
Distribution = Literal["truncated_normal", "untruncated_normal", "uniform"]

# The standard deviation of a standard normal truncated at 2.
_TRUNCATED_STDDEV = 0.87962566103423978


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many inputs an output sums over, and how many outputs an input reaches.

    Args:
        shape: of the weight: ``(inputs, outputs)``, or a convolution's kernel ``(*window, inputs, outputs)``.
            A vector counts its length as both.
    """
    if len(shape) < 2:
        length = math.prod(shape)
        return length, length
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


class FanScaled(RandomInitializer):
    """Base of the initializers of this file: values of variance ``scale / fan``.

    Args:
        scale: see `VarianceScaling`.
        mode: see `VarianceScaling`.
        distribution: see `VarianceScaling`.
        seed: see `RandomInitializer`.
    """

    def __init__(self, scale: float, mode: Mode, distribution: Distribution, seed: int | None) -> None:
        super().__init__(seed)
        if scale <= 0:
            raise ValueError(f"scale has to be positive. Received: scale={scale}")
        if mode not in get_args(Mode):
            raise ValueError(f"mode is one of {', '.join(get_args(Mode))}. Received: mode={mode!r}")
        if distribution not in get_args(Distribution):
            raise ValueError(
                f"distribution is one of {', '.join(get_args(Distribution))}. "
                f"Received: distribution={distribution!r}"
            )
        self.scale = scale
        self.mode = mode
        self.distribution = distribution

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return an array of that shape, drawn from that generator."""
        fan_in, fan_out = fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        stddev = math.sqrt(self.scale / max(1.0, fan))
        if self.distribution == "uniform":
            limit = math.sqrt(3.0) * stddev
            return generator.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return generator.normal(0.0, stddev, shape)
        return (stddev / _TRUNCATED_STDDEV) * truncated_standard_normal(shape, generator)


class VarianceScaling(FanScaled):
    """Values of mean 0 and variance ``scale / fan``.

    Args:
        scale: the variance times the fan.
        mode: which fan: ``"fan_in"`` (inputs), ``"fan_out"`` (outputs) or ``"fan_avg"`` (their mean).
        distribution: ``"truncated_normal"`` (at two standard deviations), ``"untruncated_normal"`` or
            ``"uniform"``.
        seed: see `RandomInitializer`.

    Raises:
        ValueError: for a scale that is not positive, or an unknown mode or distribution.

    Example:
        >>> import numpy as np
        >>> from distfit import initializers
        >>> draw = initializers.VarianceScaling(2.0, mode="fan_in", distribution="uniform")
        >>> draw((4, 3), np.random.default_rng(0)).shape
        (4, 3)
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: Mode = "fan_in",
        distribution: Distribution = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(scale, mode, distribution, seed)


class GlorotUniform(FanScaled):
    """Uniform within ``sqrt(6 / (fan_in + fan_out))`` of zero (Glorot and Bengio, 2010); kernels' default.

    Args:
        seed: see `RandomInitializer`.

    Example:
        >>> import numpy as np
        >>> from distfit import initializers
        >>> values = initializers.GlorotUniform()((2, 4), np.random.default_rng(0))
        >>> bool(np.abs(values).max() <= 1.0)
        True
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


class GlorotNormal(FanScaled):
    """Truncated normal of variance ``2 / (fan_in + fan_out)`` (Glorot and Bengio, 2010).

    Args:
        seed: see `RandomInitializer`.

    Example:
        >>> import numpy as np
        >>> from distfit import initializers
        >>> initializers.GlorotNormal()((2, 4), np.random.default_rng(0)).shape
        (2, 4)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


class HeUniform(FanScaled):
    """Uniform within ``sqrt(6 / fan_in)`` of zero (He et al., 2015): for layers that are followed by a ReLU.

    Args:
        seed: see `RandomInitializer`.

    Example:
        >>> import numpy as np
        >>> from distfit import initializers
        >>> initializers.HeUniform()((2, 4), np.random.default_rng(0)).shape
        (2, 4)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


class HeNormal(FanScaled):
    """Truncated normal of variance ``2 / fan_in`` (He et al., 2015): for layers that are followed by a ReLU.

    Args:
        seed: see `RandomInitializer`.

    Example:
        >>> import numpy as np
        >>> from distfit import initializers
        >>> initializers.HeNormal()((2, 4), np.random.default_rng(0)).shape
        (2, 4)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


class LecunUniform(FanScaled):
    """Uniform within ``sqrt(3 / fan_in)`` of zero (LeCun et al., 1998).

    Args:
        seed: see `RandomInitializer`.

    Example:
        >>> import numpy as np
        >>> from distfit import initializers
        >>> initializers.LecunUniform()((2, 4), np.random.default_rng(0)).shape
        (2, 4)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "uniform", seed)


class LecunNormal(FanScaled):
    """Truncated normal of variance ``1 / fan_in`` (LeCun et al., 1998).

    Args:
        seed: see `RandomInitializer`.

    Example:
        >>> import numpy as np
        >>> from distfit import initializers
        >>> initializers.LecunNormal()((2, 4), np.random.default_rng(0)).shape
        (2, 4)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", seed)
