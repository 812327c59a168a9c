"""Initializers by their names."""

from typing import Any

from distfit.initializers.constant import Constant, Ones, Zeros
from distfit.initializers.initializer import Initializer
from distfit.initializers.orthogonal import Orthogonal
from distfit.initializers.random import RandomNormal, RandomUniform, TruncatedNormal
from distfit.initializers.variance_scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)
from distfit.utils.lookup import lookup

_BY_SNAKE_CASE: dict[str, type[Initializer]] = {
    "constant": Constant,
    "glorot_normal": GlorotNormal,
    "glorot_uniform": GlorotUniform,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "lecun_normal": LecunNormal,
    "lecun_uniform": LecunUniform,
    "ones": Ones,
    "orthogonal": Orthogonal,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "zeros": Zeros,
}
_KERAS_ALIASES: dict[str, type[Initializer]] = {
    "normal": RandomNormal,
    "one": Ones,
    "uniform": RandomUniform,
    "zero": Zeros,
}

KNOWN: dict[str, type[Initializer]] = {
    **_BY_SNAKE_CASE,
    **_KERAS_ALIASES,
    **{known.__name__: known for known in _BY_SNAKE_CASE.values()},
}


def get(identifier: Any) -> Initializer:
    """Return the initializer of that name, or the object itself.

    Args:
        identifier: a name such as ``"glorot_uniform"`` or ``"GlorotUniform"``, a class, or an initializer.

    Raises:
        ValueError: for an unknown name; the text lists the known ones.
        TypeError: for what is neither a name nor an initializer.

    Ranks: local.

    Example:
        >>> from distfit import initializers
        >>> type(initializers.get("he_normal")).__name__
        'HeNormal'
    """
    found = lookup(identifier, KNOWN, "initializer")
    if not isinstance(found, Initializer):
        raise TypeError(
            "an initializer is a name such as 'zeros', or an object of distfit.initializers. "
            f"Received: {identifier!r}"
        )
    return found
