"""Trains a small network on Fashion-MNIST, on as many ranks as mpiexec starts.

    mpiexec -n 2 python examples/fashion_mnist.py --epochs 12

There is no rank in the program but the word `ranks` in its callback. Run it with one rank first, and the
second run says how the two compare.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from plot import plot_history

from distfit import Sequential, callbacks, datasets, layers, losses, utils
from distfit.comm import Communicator

OUT = Path("out")

Rows = tuple[np.ndarray, np.ndarray]


class Report(callbacks.Callback):
    """Says how long an epoch took, beside what it took on one rank, and plots the history."""

    ranks = "root"

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Start anew."""
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at the clock."""
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at it again."""
        self.seconds.append(time.perf_counter() - self.began)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Write down what happened."""
        ranks = self.model.comm.size
        fastest = min(self.seconds)  # what else the machine does can only slow an epoch down
        alone = OUT / "seconds_on_one_rank.json"
        if ranks == 1:
            OUT.mkdir(exist_ok=True)
            alone.write_text(json.dumps(fastest))
        print(f"{ranks} rank(s): the fastest epoch, with its validation, took {fastest:.2f} s")
        if ranks > 1 and alone.exists():
            before = json.loads(alone.read_text())
            print(f"the run on 1 rank took {before:.2f} s: {before / fastest:.2f} times as long")
        plot_history(self.model.history.history, OUT / "history.png")
        print(f"the history is plotted in {OUT / 'history.png'}")


def load() -> tuple[Rows, Rows, int]:
    """Return the training and the test rows, and the largest value of a pixel."""
    try:
        return *datasets.fashion_mnist.load_data(), 255
    except datasets.DatasetUnavailable as error:
        Communicator.world().print(f"{error}\nTraining on the digits that come with distfit instead.")
        return *datasets.digits.load_data(), 16


def main() -> None:
    """Train and evaluate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    epochs = options.epochs

    utils.set_random_seed(options.seed)
    (x, y), test, brightest = load()
    model = Sequential(
        [
            layers.Rescaling(1 / brightest, input_shape=x.shape[1:]),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10),
        ]
    )
    model.compile(
        optimizer="adam",
        loss=losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.comm.print(f"\n{len(x)} pictures, {epochs} epochs, {model.comm.size} rank(s)")
    best = callbacks.ModelCheckpoint(OUT / "best.safetensors", monitor="val_accuracy", save_best_only=True)
    model.fit(
        x, y, batch_size=256, epochs=epochs, verbose=2, validation_data=test, callbacks=[best, Report()]
    )
    scores = model.evaluate(*test, verbose=0, return_dict=True)
    model.comm.print(f"test accuracy {scores['accuracy']:.4f}, loss {scores['loss']:.4f}")


if __name__ == "__main__":
    main()
