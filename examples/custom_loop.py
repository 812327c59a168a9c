"""A training loop of one's own: NumPy computes, mpi4py adds up, and distfit calls the callbacks.

    mpiexec -n 4 python examples/custom_loop.py

Logistic regression on handwritten digits. Of distfit only `CallbackList` is used, with the callbacks in it: they run on
the ranks that they are for, and what they decide holds on all of them.
"""

import argparse
from pathlib import Path

import numpy as np
from mpi4py import MPI

from distfit.callbacks import Callback, CallbackList, CSVLogger, EarlyStopping, Weighted
from distfit.datasets import digits

BATCH_SIZE = 50


class Classifier:
    """Something with weights. Callbacks know it as `self.model`."""

    stop_training = False
    history = None

    def __init__(self) -> None:
        self.weights = np.zeros((65, 10))
        self.rate = 0.5

    def get_weights(self) -> list[np.ndarray]:
        """Return copies, as `EarlyStopping` wants them of the best epoch."""
        return [self.weights.copy()]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        """Write the weights."""
        self.weights[:] = weights[0]

    def losses_and_gradient(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each row's cross-entropy, and the sum of the rows' gradients."""
        logits = x @ self.weights
        probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        losses = -np.log(probabilities[np.arange(len(y)), y])
        probabilities[np.arange(len(y)), y] -= 1.0
        return losses, x.T @ probabilities


class Announce(Callback):
    """Prints a line for each epoch, once."""

    ranks = "root"

    def on_epoch_end(self, epoch, logs=None):
        """Print the values, which are those of all rows of all ranks."""
        print(
            f"epoch {epoch}: " + ", ".join(f"{name} {value:.4f}" for name, value in logs.items()), flush=True
        )


class Decay(Callback):
    """Lowers the learning rate from epoch to epoch: on all ranks, each for its own model."""

    def on_epoch_begin(self, epoch, logs=None):
        """Set the rate."""
        self.model.rate = 0.98**epoch


def with_bias(images: np.ndarray) -> np.ndarray:
    """Return a row of pixels from 0 to 1 for each picture, with a one behind them."""
    pixels = images.reshape(len(images), -1) / 16.0
    return np.hstack([pixels, np.ones((len(pixels), 1))])


def mean(losses: np.ndarray) -> Weighted:
    """Return the mean over this rank's rows, and their number: the mean over all ranks' rows comes of it."""
    return Weighted(losses.mean() if len(losses) else 0.0, len(losses))


def train(comm: MPI.Comm, epochs: int, out: Path) -> Classifier:
    """Train by gradient descent on batches of which each rank takes every comm.size-th row."""
    (images, y), (images_test, y_test) = digits.load_data()
    x, x_test = with_bias(images), with_bias(images_test)
    mine = slice(comm.rank, None, comm.size)
    model = Classifier()
    callbacks = CallbackList(
        [EarlyStopping("val_loss", patience=2, restore_best_weights=True), Decay(), Announce()],
        add_history=True,
        model=model,
        comm=comm,
    )
    callbacks.append(CSVLogger(out / "custom_loop.csv"))

    callbacks.on_train_begin()
    for epoch in range(epochs):
        callbacks.on_epoch_begin(epoch)
        losses = []
        for batch in range(len(x) // BATCH_SIZE):
            rows = slice(batch * BATCH_SIZE, (batch + 1) * BATCH_SIZE)
            callbacks.on_train_batch_begin(batch)
            batch_losses, gradient = model.losses_and_gradient(x[rows][mine], y[rows][mine])
            comm.Allreduce(MPI.IN_PLACE, gradient)
            model.weights -= model.rate * gradient / BATCH_SIZE
            losses.append(batch_losses)
            callbacks.on_train_batch_end(batch, {"loss": mean(batch_losses)})
        tested, _ = model.losses_and_gradient(x_test[mine], y_test[mine])
        callbacks.on_epoch_end(epoch, {"loss": mean(np.concatenate(losses)), "val_loss": mean(tested)})
        if model.stop_training:
            break
    callbacks.on_train_end()
    return model


def main() -> None:
    """Parse the command line, and train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    if comm.rank == 0:
        options.out.mkdir(parents=True, exist_ok=True)
    comm.Barrier()
    train(comm, options.epochs, options.out)


if __name__ == "__main__":
    main()
