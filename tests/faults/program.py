"""A training as a user writes it, and one fault in it: python program.py FAULT PLACE RANKS; see injection.py."""

import atexit
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from faults.injection import Fault, rank_of_environment

from distfit import Sequential, callbacks, data, layers, losses, optimizers, utils

fault = Fault(*sys.argv[1:], rank=rank_of_environment())
atexit.register(fault.at, "at exit")


class Rows:
    """A data source: it looks like an array, and reads rows when they are asked for."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: Any) -> np.ndarray:
        fault.at("data source")
        return self.array[rows]


class Batches:
    """An iterable of global batches."""

    def __init__(self, x: Any, y: np.ndarray) -> None:
        self.x, self.y = x, y

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(self.y), 4):
            fault.at("iterable")
            yield self.x.array[start : start + 4], self.y[start : start + 4]


def augmented(rows: np.ndarray, context: data.RowContext) -> np.ndarray:
    fault.at("data.map")
    return rows


class Mark(layers.Layer):
    """Passes its input on."""

    def __init__(self, place: str, **options: Any) -> None:
        super().__init__(**options)
        self.place = place
        fault.at("constructor")

    def forward(self, x: np.ndarray, context: layers.Context) -> Any:
        def backward(dy: np.ndarray) -> np.ndarray:
            fault.at(f"backward {self.place}")
            return dy

        fault.at(f"forward {self.place}")
        return x, backward


class Loss(losses.Loss):
    """Half the square."""

    def forward(self, y_true: np.ndarray, y_pred: np.ndarray) -> Any:
        fault.at("loss")
        difference = y_pred - y_true

        def backward(weights: np.ndarray | None) -> np.ndarray:
            return difference if weights is None else weights[:, None] * difference

        return 0.5 * np.square(difference).sum(axis=1), backward


def error(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    fault.at("metric")
    return np.abs(y_true - y_pred).mean(axis=1)


class Optimizer(optimizers.SGD):
    def update(self, chunk: Any, step: Any) -> None:
        fault.at("optimizer update")
        super().update(chunk, step)


class Model(Sequential):
    def train_step(self, batch: Any) -> Any:
        fault.at("train_step")
        return super().train_step(batch)


def observer(ranks: str, prefix: str) -> callbacks.Callback:
    """Return a callback with the one hook in which the fault is; none where it is elsewhere."""

    def hook(self: callbacks.Callback, *arguments: Any) -> None:
        fault.at(fault.place)

    name = fault.place.removeprefix(prefix)
    hooks = {name: hook} if fault.place.startswith(f"{prefix}on_") else {}
    return type("Observer", (callbacks.Callback,), {"ranks": ranks, **hooks})()


def sync(handle: int) -> None:
    fault.at("checkpoint write")
    real_sync(handle)


real_sync, os.fsync = os.fsync, sync  # the file layer's last step before a file gets its name

utils.set_random_seed(1)
out = Path(os.environ["FAULT_OUT"])
model = Model(
    [
        layers.Dense(4, input_shape=(2,)),
        Mark("before BatchNormalization"),
        layers.BatchNormalization(),
        Mark("after BatchNormalization"),
        layers.Dense(1),
    ]
)
fault.model = model
model.compile(optimizer=Optimizer(0.01), loss=Loss("half square"), metrics=[error])
array = np.linspace(-1.0, 1.0, 24).reshape(12, 2)
y = array.sum(axis=1, keepdims=True)
if fault.is_("short data", "data"):
    array, y = array[:-1], y[:-1]
if fault.is_("other data", "data"):
    y = y + 1.0
if fault.is_("NaN", "data"):
    array[5] = np.nan
folder = out / "nowhere" if fault.is_("unwritable path", "files") else out
if fault.kind == "unwritable path":
    (out / "nowhere").touch()  # a file where a folder should be

listed = [
    observer("all", ""),
    observer("root", "root "),
    callbacks.TerminateOnNaN(raise_error=True),
    callbacks.CSVLogger("/dev/full" if fault.is_("disk full", "log") else out / "log.csv"),
    callbacks.ModelCheckpoint(folder / "{epoch}.weights.safetensors"),
]
if fault.is_("other callbacks", "callbacks"):
    listed.append(callbacks.EarlyStopping("loss"))
rows = Rows(array)
x = data.map(rows, augmented) if fault.place == "data.map" else rows
given = {"x": Batches(rows, y)} if fault.place == "iterable" else {"x": x, "y": y, "batch_size": 4}
for _ in range(2):
    model.fit(**given, epochs=2, validation_data=(array[:4], y[:4]), callbacks=listed, verbose=0)
    model.predict(array, batch_size=4, callbacks=listed, verbose=0)
    fault.at("between fits")
fault.at("after fit")
print("done", flush=True)
