"""What the hosts train, to a few lines of JSON: train.py [--pause SECONDS] [--kill RANK].

Root says each step. At the first start a step may take its time, so that something can happen meanwhile.
"""

import argparse
import json
import os
import signal
import time
from typing import Any

import numpy as np

from distfit import Sequential, callbacks, layers, utils

KILLED_AT = 12


class Steps(callbacks.Callback):
    """Says each step, and lets it take its time."""

    def __init__(self, pause_s: float, killed: int | None) -> None:
        first = os.environ.get("DISTFIT_RESTART", "0") == "0"
        self.pause_s = pause_s if first else 0.0
        self.killed = killed if first else None
        self.step = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.step += 1
        time.sleep(self.pause_s)
        if self.step == KILLED_AT and self.model.comm.rank == self.killed:
            os.kill(os.getpid(), signal.SIGKILL)
        self.model.comm.print(f"step {self.step}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--kill", type=int)
    options = parser.parse_args()

    utils.set_random_seed(1)
    generator = np.random.default_rng(7)
    x = generator.normal(size=(61, 8))
    y = x @ generator.normal(size=(8, 1))
    model = Sequential(
        [layers.Dense(16, activation="relu", input_shape=(8,)), layers.Dropout(0.2), layers.Dense(1)]
    )
    model.compile(optimizer="adam", loss="mse")
    backup = callbacks.BackupAndRestore("backup", save_freq=5)
    model.fit(
        x, y, batch_size=16, epochs=10, verbose=0, callbacks=[backup, Steps(options.pause, options.kill)]
    )  # 4 steps an epoch, and the last of them has 13 rows
    loss = model.evaluate(x, y, verbose=0)
    weights = np.concatenate([weight.ravel() for weight in model.get_weights()])
    hosts = model.comm.all_gather_object(model.comm.host)
    found = {"hosts": hosts, "loss": loss, "weights": weights.tolist()}
    model.comm.print(f"result {json.dumps(found)}")


if __name__ == "__main__":
    main()
