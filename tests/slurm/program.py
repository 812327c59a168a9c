"""A training that Slurm interrupts: program.py FOLDER SECONDS; each batch takes so many seconds longer than it has to.

It says where it begins, and writes to FOLDER the number of the step that it is at, and at its end what came of it.
"""

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from distfit import Sequential, callbacks, config, datasets, layers, losses, utils
from distfit.comm import Communicator

_EPOCHS = 4
_ROWS = 1500
_BATCH = 50


class Slowly(callbacks.Callback):
    """Takes its time, and tells how far training has come."""

    ranks = "root"

    def __init__(self, folder: Path, seconds: float) -> None:
        self._step = folder / "step"
        self._seconds = seconds

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin anew."""
        self._has_begun = False

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Say where training begins, which is not known before."""
        if not self._has_begun:
            restart, nodes = os.environ.get("SLURM_RESTART_COUNT", "0"), os.environ["SLURM_JOB_NODELIST"]
            print(f"restart {restart} on {nodes} begins behind step {self.model.progress.step}", flush=True)
        self._has_begun = True

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Say that a step is done."""
        self._step.write_text(f"{self.model.progress.step}")
        time.sleep(self._seconds)


def main() -> None:
    """Train; the status is 85 if somebody asked the job to end before it was done."""
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    config.set_floatx("float64")
    utils.set_random_seed(7)
    (x, y), _ = datasets.digits.load_data()
    x, y = x[:_ROWS], y[:_ROWS]
    model = Sequential(
        [
            layers.Rescaling(1 / 16, input_shape=x.shape[1:]),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10),
        ]
    )
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    backup = callbacks.BackupAndRestore(folder / "backup", save_freq=5)
    slowly = Slowly(folder, seconds)
    history = model.fit(x, y, batch_size=_BATCH, epochs=_EPOCHS, verbose=0, callbacks=[backup, slowly])
    if model.interrupted:
        model.comm.print(f"asked to end behind step {model.progress.step}")
        sys.exit(85)
    weights = hashlib.sha256(b"".join(array.tobytes() for array in model.get_weights())).hexdigest()
    if Communicator.world().rank == 0:
        (folder / "result.json").write_text(json.dumps({"history": history.history, "weights": weights}))


if __name__ == "__main__":
    main()
