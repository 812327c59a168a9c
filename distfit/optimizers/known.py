"""Optimizers by their names."""

from typing import Any

from distfit.optimizers.adagrad import Adagrad
from distfit.optimizers.adam import Adam
from distfit.optimizers.adamw import AdamW
from distfit.optimizers.lamb import Lamb
from distfit.optimizers.lars import LARS
from distfit.optimizers.optimizer import Optimizer
from distfit.optimizers.rmsprop import RMSprop
from distfit.optimizers.sgd import SGD
from distfit.utils.lookup import lookup

_CLASSES: tuple[type[Optimizer], ...] = (Adagrad, Adam, AdamW, Lamb, LARS, RMSprop, SGD)

KNOWN: dict[str, type[Optimizer]] = {
    **{known.__name__.lower(): known for known in _CLASSES},
    **{known.__name__: known for known in _CLASSES},
}


def get(identifier: Any) -> Optimizer:
    """Return a new optimizer of that name with Keras's defaults, or the object itself.

    Args:
        identifier: a name such as ``"adam"`` or ``"Adam"``, a class, or an optimizer.

    Raises:
        ValueError: for an unknown name; the text lists the known ones.
        TypeError: for what is neither a name nor an optimizer.

    Ranks: local.

    Example:
        >>> from distfit import optimizers
        >>> optimizers.get("adam").learning_rate
        0.001
    """
    found = lookup(identifier, KNOWN, "optimizer")
    if not isinstance(found, Optimizer):
        raise TypeError(
            "an optimizer is a name such as 'adam', or an object of distfit.optimizers. "
            f"Received: {identifier!r}"
        )
    return found
