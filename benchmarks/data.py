"""Reading: what it costs where the data are in memory, and how near to the disk's speed it comes where they are not."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr

from benchmarks.alternate import Comparison, alternate, seconds
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.workload import BATCH_SIZE, network
from distfit import Sequential, layers, optimizers
from distfit.data import read_ahead

SHAPE = (128, 128)
ROWS, FEATURES, ROWS_OF_A_BATCH = 8192, 128 * 128, 512  # 512 MB, and 32 MB a step
QUICK_ROWS = 1024
ON_DISK = ("memmap", "HDF5", "Zarr")
NEVER = float("inf")


def measure(job: Job) -> list[Figure]:
    """Return `fit` with batches that are read ahead against reading in turn, and against a plain read of the file.

    Ranks: one.
    """
    x, y = job.training
    model = network(job.world)
    fit = partial(model.fit, x, y, batch_size=BATCH_SIZE, verbose=0)
    figures = [figure(job, "fit in memory: with the thread / without", against_in_turn(fit, job))]
    rows = QUICK_ROWS if job.alternations == 1 else ROWS
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))  # /tmp may be in memory
    try:
        for kind in ON_DISK:
            figures += on_disk(job, kind, folder / kind, rows)
    finally:
        shutil.rmtree(folder)
    return figures


def on_disk(job: Job, kind: str, path: Path, rows: int) -> Iterator[Figure]:
    """Return what an epoch over a file takes that is not in memory."""
    opened, y = written(kind, path, rows), np.zeros((rows, 1), np.float32)
    # It looks at each number once: what takes time is reading them.
    parts = [
        layers.Reshape((*SHAPE, 1), input_shape=(FEATURES,)),
        layers.GlobalAveragePooling2D(),
        layers.Dense(1),
    ]
    model = Sequential(parts, comm=job.world)
    model.compile(optimizers.SGD(1e-6), "mse")

    def fit() -> None:
        model.fit(opened(), y, batch_size=ROWS_OF_A_BATCH, shuffle=False, verbose=0)

    yield figure(
        job, f"fit from {kind}: with the thread / without", against_in_turn(fit, job, partial(forget, path))
    )
    plain = alternate(cold(path, fit), cold(path, partial(read, path)), job.alternations)
    yield figure(job, f"fit from {kind} / a plain read", plain)


def figure(job: Job, name: str, comparison: Comparison) -> Figure:
    return Figure(name, job.ranks.size, comparison.ratio, "x", job.alternations, comparison.spread)


def against_in_turn(
    fit: Callable[[], object], job: Job, before: Callable[[], object] = lambda: None
) -> Comparison:
    """Compare a training with the thread to one without it."""

    def with_limit(limit: float) -> float:
        before()
        with limit_of(limit):
            return seconds(fit)

    return alternate(partial(with_limit, read_ahead._PAYS_S), partial(with_limit, NEVER), job.alternations)


@contextmanager
def limit_of(limit: float) -> Iterator[None]:
    """Set from which time on a read is worth a thread."""
    usual, read_ahead._PAYS_S = read_ahead._PAYS_S, limit
    try:
        yield
    finally:
        read_ahead._PAYS_S = usual


def cold(path: Path, action: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        forget(path)
        return seconds(action)

    return timed


def files(path: Path) -> list[Path]:
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


def forget(path: Path) -> None:
    """Have the system drop what it holds of a file in memory."""
    for one in files(path):
        file = os.open(one, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def read(path: Path) -> None:
    """Read a file, or those of a folder, from the first byte to the last."""
    buffer = bytearray(ROWS_OF_A_BATCH * FEATURES * 4)
    for one in files(path):
        with one.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def written(kind: str, path: Path, rows: int) -> Callable[[], Any]:
    """Write random numbers to a file, and return what opens it as an array-like.

    It is opened for each training, and closed behind it: the system does not drop pages that are still mapped.
    """
    shape, chunk = (rows, FEATURES), (ROWS_OF_A_BATCH, FEATURES)
    if kind == "memmap":
        stored: Any = np.memmap(path, np.float32, "w+", shape=shape)
    elif kind == "HDF5":
        stored = h5py.File(path, "w").create_dataset("x", shape, np.float32)
    else:
        stored = zarr.create_array(path, shape=shape, chunks=chunk, dtype="float32", compressors=None)
    generator = np.random.default_rng(0)
    for start in range(0, rows, ROWS_OF_A_BATCH):
        stored[start : start + ROWS_OF_A_BATCH] = generator.random(chunk, np.float32)
    if kind == "memmap":
        stored.flush()
        return lambda: np.memmap(path, np.float32, "r", shape=shape)
    if kind == "HDF5":
        stored.file.close()
        return lambda: h5py.File(path)["x"]
    return lambda: zarr.open_array(path, mode="r")


if __name__ == "__main__":
    run(measure)
