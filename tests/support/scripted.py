"""Training without training: callbacks are shown logs that a test wrote down."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np

from distfit import optimizers
from distfit.comm import Communicator


class ScriptedModel:
    """What callbacks see of a model. Its one weight is the number of the epoch.

    Args:
        directions: whether each of its metrics is better when it is ``"min"`` or ``"max"``.
    """

    def __init__(self, **directions: str) -> None:
        self.metrics = [SimpleNamespace(name=name, direction=which) for name, which in directions.items()]
        self.comm = Communicator.alone()
        self.optimizer = optimizers.SGD(0.1)
        self.stop_training = False
        self.weights = [np.array([-1.0])]
        self.saved: list[tuple[str, str]] = []
        self.history: Any = None

    def get_weights(self) -> list[np.ndarray]:
        return [weight.copy() for weight in self.weights]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.weights = [weight.copy() for weight in weights]

    def save(self, path: str) -> None:
        self.saved.append(("model", path))

    def save_weights(self, path: str) -> None:
        self.saved.append(("weights", path))


def play(callback: Any, epochs: Iterable[dict[str, Any]], model: ScriptedModel | None = None) -> int:
    """Call the hooks of a training with these logs until a callback stops it; return the last epoch's number."""
    model = model or ScriptedModel()
    model.stop_training = False
    callback.set_model(model)
    callback.on_train_begin({})
    epoch = -1
    for epoch, logs in enumerate(epochs):
        callback.on_epoch_begin(epoch, {})
        model.weights = [np.array([float(epoch)])]
        callback.on_epoch_end(epoch, dict(logs))
        if model.stop_training:
            break
    callback.on_train_end({})
    return epoch


def losses(*values: float, key: str = "loss") -> list[dict[str, float]]:
    """Return the logs of epochs that have one value each."""
    return [{key: value} for value in values]
