"""Trains across hosts with sums during backward, fails in the middle of it, and trains on; prints a line of JSON."""

import hashlib
import json
from typing import Any

import numpy as np

from distfit import Sequential, layers, utils
from distfit.comm import Communicator


class Faulty(layers.Layer):
    """Passes its input on; its backward fails on the last rank while it is armed."""

    armed = False

    def output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def forward(self, x: np.ndarray, context: layers.Context) -> Any:
        def backward(dy: np.ndarray) -> np.ndarray:
            if self.armed:
                raise ArithmeticError("no gradient")
            return dy

        return x, backward


def main() -> None:
    comm = Communicator.world()
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(64, 400)), draw.normal(size=(64, 1))
    found: dict[str, Any] = {"updates": [], "raised": 0, "losses": [], "weights": []}
    for compression in (None, "bfloat16"):
        utils.set_random_seed(1)
        faulty = Faulty()
        dense = [layers.Dense(1000, activation="tanh") for _ in range(2)]
        model = Sequential(
            [layers.Dense(1000, input_shape=(400,)), faulty, *dense, layers.Dense(1)], comm=comm
        )
        model.compile("sgd", "mse", compression=compression)
        train = {"x": x, "y": y, "batch_size": 16, "verbose": 0}
        first = model.fit(epochs=2, **train).history["loss"]
        before = model.get_weights()
        faulty.armed = comm.rank == comm.size - 1
        try:
            model.fit(**train)
        except ArithmeticError:
            found["raised"] += 1
        faulty.armed = False
        model.set_weights(before)
        found["losses"].append([*first, *model.fit(epochs=2, **train).history["loss"]])
        found["updates"].append(type(model.update).__name__)
        found["weights"].append(hashlib.sha256(model.engine.parameters.tobytes()).hexdigest())
    of_all = comm.all_gather_object((found["raised"], found["weights"]))
    comm.print("result", json.dumps({**found, "of_all": of_all}))


if __name__ == "__main__":
    main()
