"""A step in the steady state takes no new memory from the system."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from distfit import Sequential, layers
from distfit.comm import Communicator
from distfit.utils.heap import keep_freed_memory
parts = {
    "dense": [layers.Flatten(input_shape=(28, 28, 1)), layers.Dense(512, activation="relu"), layers.Dense(10)],
    "convolutional": [
        layers.Conv2D(32, 3, activation="relu", input_shape=(28, 28, 1)), layers.BatchNormalization(),
        layers.MaxPooling2D(2), layers.Conv2D(64, 3, activation="relu"), layers.Flatten(), layers.Dense(10),
    ],
}["NETWORK"]
model = Sequential(parts, comm=Communicator.alone())
model.compile("adam", "mse")
rows = 64 * 12
x, y = np.ones((rows, 28, 28, 1), np.float32), np.zeros((rows, 10), np.float32)
faults = []
def note(batch, logs=None):
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
from distfit.callbacks import LambdaCallback
model.fit(x, y, batch_size=64, epochs=2, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=note)])
print(keep_freed_memory(), (faults[-1] - faults[12]) / 11)
"""


def run(network: str, **variables: str) -> tuple[str, float]:
    kept = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("NETWORK", network)],
        env=kept | {"OPENBLAS_NUM_THREADS": "1"} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    possible, faults = done.stdout.split()
    return possible, float(faults)


@pytest.mark.parametrize("network", ["dense", "convolutional"])
def test_steps_fault_in_no_pages(network: str) -> None:
    possible, faults = run(network)
    assert possible == "True"
    assert faults < 20  # of the interpreter's own; the arrays of a step are hundreds or thousands of pages


def test_who_tells_glibc_otherwise_is_left_alone() -> None:
    possible, faults = run("convolutional", MALLOC_TRIM_THRESHOLD_="131072")
    assert possible == "False"
    assert faults > 500
