"""Trains on digits in float64; root tells the losses, and of each rank its host, user and BLAS threads."""

import json
import os
import socket

from mpi4py import MPI

from distfit import Sequential, config, datasets, layers, losses, utils


def main() -> None:
    """Train and tell."""
    config.set_floatx("float64")
    utils.set_random_seed(3)
    (x, y), _ = datasets.digits.load_data()
    model = Sequential(
        [
            layers.Rescaling(1 / 16, input_shape=x.shape[1:]),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10),
        ]
    )
    model.compile(optimizer="adam", loss=losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(x, y, batch_size=100, epochs=3, verbose=0)
    where = MPI.COMM_WORLD.gather((socket.gethostname(), os.getuid(), os.environ.get("OMP_NUM_THREADS")))
    if where:
        hosts, users, threads = zip(*where, strict=True)
        told = {"losses": history.history["loss"], "hosts": hosts, "users": users, "threads": threads}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
