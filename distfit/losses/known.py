"""Losses by the names that Keras gives them."""

from collections.abc import Callable
from typing import Any

from distfit.losses.binary_crossentropy import BinaryCrossentropy
from distfit.losses.categorical_crossentropy import CategoricalCrossentropy, SparseCategoricalCrossentropy
from distfit.losses.function_loss import FunctionLoss
from distfit.losses.hinge import Hinge
from distfit.losses.loss import Loss
from distfit.losses.regression import Huber, MeanAbsoluteError, MeanSquaredError
from distfit.utils.lookup import lookup

KNOWN: dict[str, Callable[..., Loss]] = {
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "MeanSquaredError": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "MeanAbsoluteError": MeanAbsoluteError,
    "huber": Huber,
    "huber_loss": Huber,
    "Huber": Huber,
    "hinge": Hinge,
    "Hinge": Hinge,
    "binary_crossentropy": BinaryCrossentropy,
    "bce": BinaryCrossentropy,
    "BinaryCrossentropy": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "CategoricalCrossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "SparseCategoricalCrossentropy": SparseCategoricalCrossentropy,
}


def get(identifier: Any) -> Loss:
    """Return a loss from what `compile` takes.

    Args:
        identifier: one of Keras's names, a `Loss`, its class, or a function ``f(y_true, y_pred)``: see
            `FunctionLoss`.

    Raises:
        ValueError: for an unknown name, or for anything else.

    Ranks: local.

    Example:
        >>> from distfit import losses
        >>> losses.get("mse").name
        'mean_squared_error'
    """
    found = lookup(identifier, KNOWN, "loss")
    if isinstance(found, Loss):
        return found
    if callable(found):
        return FunctionLoss(found)
    raise ValueError(
        "a loss is given as a name, a Loss, its class, or a function of (y_true, y_pred)."
        f" Received: {found!r} of type {type(found).__name__}"
    )
