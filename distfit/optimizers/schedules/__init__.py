"""Learning rates that are a function of the step, under Keras's names."""

from distfit.optimizers.schedules.cosine_decay import CosineDecay
from distfit.optimizers.schedules.exponential_decay import ExponentialDecay
from distfit.optimizers.schedules.inverse_time_decay import InverseTimeDecay
from distfit.optimizers.schedules.learning_rate_schedule import LearningRateSchedule
from distfit.optimizers.schedules.piecewise_constant_decay import PiecewiseConstantDecay
from distfit.optimizers.schedules.polynomial_decay import PolynomialDecay

__all__ = [
    "CosineDecay",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
]
