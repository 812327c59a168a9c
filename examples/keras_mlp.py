"""Trains a Keras model on Fashion-MNIST, on as many ranks as mpiexec starts.

    KERAS_BACKEND=jax mpiexec -n 2 python examples/keras_mlp.py --epochs 5

It is a script for Keras; one line is distfit's, and says so. Metrics, callbacks, files and history are those of Keras.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np

import distfit
from distfit import datasets

OUT = Path("out")

Rows = tuple[np.ndarray, np.ndarray]


def load(*, digits: bool) -> tuple[Rows, Rows, float]:
    """Return training and test rows, and the largest value of a pixel."""
    if not digits:
        try:
            return *datasets.fashion_mnist.load_data(), 255.0
        except datasets.DatasetUnavailable:
            pass
    return *datasets.digits.load_data(), 16.0


def main() -> None:
    """Train, and evaluate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument(
        "--digits", action="store_true", help="take the small data set that comes with distfit"
    )
    options = parser.parse_args()

    (x, y), test, brightest = load(digits=options.digits)
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Rescaling(1 / brightest),
            keras.layers.Flatten(),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model = distfit.KerasModel(model)  # the one line

    best = keras.callbacks.ModelCheckpoint(
        OUT / "keras_mlp.keras", monitor="val_accuracy", save_best_only=True
    )
    plateau = keras.callbacks.ReduceLROnPlateau(patience=1)
    model.fit(
        x,
        y,
        batch_size=256,
        epochs=options.epochs,
        validation_data=test,
        verbose=2,
        callbacks=[best, plateau],
    )
    scores = model.evaluate(*test, verbose=0, return_dict=True)
    model.comm.print(f"test accuracy {scores['accuracy']:.4f}, loss {scores['loss']:.4f}")
    model.comm.print(f"keras.models.load_model reads {OUT / 'keras_mlp.keras'}")


if __name__ == "__main__":
    main()
