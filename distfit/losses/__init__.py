"""Losses under Keras's names: the value of each row, and its gradient."""

from distfit.losses.binary_crossentropy import BinaryCrossentropy
from distfit.losses.categorical_crossentropy import CategoricalCrossentropy, SparseCategoricalCrossentropy
from distfit.losses.function_loss import FunctionLoss
from distfit.losses.hinge import Hinge
from distfit.losses.known import KNOWN, get
from distfit.losses.loss import Loss, LossBackward
from distfit.losses.regression import Huber, MeanAbsoluteError, MeanSquaredError

__all__ = [
    "KNOWN",
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "FunctionLoss",
    "Hinge",
    "Huber",
    "Loss",
    "LossBackward",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "get",
]
