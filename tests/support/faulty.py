"""A small training with every kind of code that users write: each piece tells its place whenever it is passed.

A test, or a job of the fault matrix, lets something go wrong at one of the places; see `watch`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

from distfit import Sequential, callbacks, data, layers, losses, optimizers, utils
from distfit.comm import Communicator

WORK = (
    "data source", "data.map", "iterable", "train_step",
    "forward before BatchNormalization", "forward after BatchNormalization",
    "backward after BatchNormalization", "backward before BatchNormalization",
    "loss", "metric", "optimizer update",
)  # fmt: skip
HOOKS = tuple(
    f"on_{name}_{edge}"
    for name in ("train", "epoch", "train_batch", "test", "test_batch", "predict", "predict_batch")
    for edge in ("begin", "end")
)

_watchers: list[Callable[[str], None]] = []


def at(place: str) -> None:
    """Tell that a place of the program is passed."""
    for watcher in _watchers:
        watcher(place)


@contextmanager
def watched(watcher: Callable[[str], None]) -> Iterator[None]:
    """Tell `watcher` each place in this block, in files' way to the disk, too."""
    sync = os.fsync

    def sync_and_tell(handle: int) -> None:
        at("checkpoint write")  # the file layer's last step before a file gets its name
        sync(handle)

    _watchers.append(watcher)
    try:
        with mock.patch("os.fsync", sync_and_tell):
            yield
    finally:
        _watchers.remove(watcher)


class Rows:
    """A data source: it looks like an array, and reads rows when they are asked for."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: Any) -> np.ndarray:
        at("data source")
        return self.array[rows]


class Batches:
    """An iterable of global batches."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, y

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(self.y), 4):
            at("iterable")
            yield self.x[start : start + 4], self.y[start : start + 4]


def augmented(rows: np.ndarray, context: data.RowContext) -> np.ndarray:
    at("data.map")
    return rows


class Mark(layers.Layer):
    """Passes its input on."""

    def __init__(self, place: str, **options: Any) -> None:
        super().__init__(**options)
        self.place = place
        at("constructor")

    def forward(self, x: np.ndarray, context: layers.Context) -> Any:
        def backward(dy: np.ndarray) -> np.ndarray:
            at(f"backward {self.place}")
            return dy

        at(f"forward {self.place}")
        return x, backward


class HalfSquare(losses.Loss):
    """Half the squared error."""

    def forward(self, y_true: np.ndarray, y_pred: np.ndarray) -> Any:
        at("loss")
        difference = y_pred - y_true

        def backward(weights: np.ndarray | None) -> np.ndarray:
            return difference if weights is None else weights[:, None] * difference

        return 0.5 * np.square(difference).sum(axis=1), backward


def error(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    at("metric")
    return np.abs(y_true - y_pred).mean(axis=1)


class Descent(optimizers.SGD):
    def update(self, chunk: Any, step: Any) -> None:
        at("optimizer update")
        super().update(chunk, step)


class Model(Sequential):
    def train_step(self, batch: Any) -> Any:
        at("train_step")
        return super().train_step(batch)


def model(comm: Communicator | None = None) -> Model:
    """Return a compiled model that is made of these parts."""
    utils.set_random_seed(1)
    made = Model(
        [
            layers.Dense(4, input_shape=(2,)),
            Mark("before BatchNormalization"),
            layers.BatchNormalization(),
            Mark("after BatchNormalization"),
            layers.Dense(1),
        ],
        comm=comm,
    )
    made.compile(optimizer=Descent(0.01), loss=HalfSquare("half square"), metrics=[error])
    return made


def rows() -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and targets: 12 rows, a few for each of 4 ranks in a batch of 4."""
    x = np.linspace(-1.0, 1.0, 24).reshape(12, 2)
    return x, x.sum(axis=1, keepdims=True)


def given(place: str, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Return the arguments of `fit` for the data, in the form that passes this place."""
    if place == "iterable":
        return {"x": Batches(x, y)}
    source = data.map(Rows(x), augmented) if place == "data.map" else Rows(x)
    return {"x": source, "y": y, "batch_size": 4}


def observer(place: str) -> callbacks.Callback:
    """Return a callback with the hook that the place is, as in ``"on_test_end"`` or ``"root on_test_end"``, or none."""

    def hook(self: callbacks.Callback, *arguments: Any) -> None:
        at(place)

    name = place.removeprefix("root ")
    hooks = {name: hook} if name in HOOKS else {}
    return type("Observer", (callbacks.Callback,), {"ranks": "root" if name != place else "all", **hooks})()


def train(trained: Model, place: str, x: np.ndarray, y: np.ndarray, listed: list[callbacks.Callback]) -> Any:
    """Fit and predict, and return the history."""
    history = trained.fit(
        **given(place, x, y),
        epochs=2,
        validation_data=(x[:4], y[:4]),
        callbacks=[observer(place), *listed],
        verbose=0,
    )
    trained.predict(x, batch_size=4, callbacks=[observer(place)], verbose=0)
    return history
