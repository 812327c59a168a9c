"""What draws the first values of weights, under Keras's names."""

from distfit.initializers.constant import Constant, Ones, Zeros
from distfit.initializers.initializer import Initializer
from distfit.initializers.known import KNOWN, get
from distfit.initializers.orthogonal import Orthogonal
from distfit.initializers.random import RandomInitializer, RandomNormal, RandomUniform, TruncatedNormal
from distfit.initializers.variance_scaling import (
    FanScaled,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)

__all__ = [
    "KNOWN",
    "Constant",
    "FanScaled",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomInitializer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "get",
]
