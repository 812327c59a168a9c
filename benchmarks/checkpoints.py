"""What a checkpoint costs: to training while it is written, and to write and read against a plain copy of its bytes."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.alternate import alternate, quartiles, seconds
from benchmarks.figure import Figure
from benchmarks.job import Job, run
from distfit import Sequential, layers
from distfit.callbacks import BackupAndRestore, Callback
from distfit.checkpoint import Checkpoint, load, write_checkpoint

_WIDTH = 4096  # two layers of it are 134 MB of weights, and with Adam's moments 403 MB
_ROWS = 8
_STEPS = 25  # a write is over before they are
_TURNS = 7


class Once(BackupAndRestore):
    """Saves behind the second batch alone, and notes how long that keeps training waiting."""

    stalled_s = 0.0

    def count_batch(self) -> bool:
        self._writer.check()
        self._batches += 1
        return self._batches == 2

    def save(self, checkpoint: Checkpoint) -> None:
        self.stalled_s = seconds(lambda: super(Once, self).save(checkpoint))


class Clock(Callback):
    """Takes the time of an epoch's batches."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.took_s = time.perf_counter() - self.began


def measure(job: Job) -> list[Figure]:
    """Return what a write stalls training, and the speed of writing and reading.

    Ranks: one.
    """
    width, turns = (16, 1) if job.quick else (_WIDTH, _TURNS)
    with tempfile.TemporaryDirectory(prefix="checkpoints-") as folder:
        return _stalls(job, Path(folder), width, turns) + _speeds(Path(folder), width, turns)


def _stalls(job: Job, folder: Path, width: int, turns: int) -> list[Figure]:
    model = Sequential([layers.Dense(width, input_shape=(width,)), layers.Dense(width)], comm=job.world)
    model.compile(optimizer="adam", loss="mse")
    x = np.zeros((_STEPS * _ROWS, width), np.float32)
    in_turn, behind = (
        Once(folder / f"{name}", background=name == "behind") for name in ("in turn", "behind")
    )

    def fit(*callbacks: Callback) -> float:
        clock = Clock()
        model.fit(x, x, batch_size=_ROWS, verbose=0, callbacks=[*callbacks, clock])
        return clock.took_s

    writes, copies, slower = [], [], []
    for turn in range(turns + 1):
        plain = fit()
        fit(in_turn)
        beside = fit(behind) - plain - behind.stalled_s
        if turn:  # the first one makes the buffers
            writes.append(in_turn.stalled_s)
            copies.append(behind.stalled_s)
            slower.append(beside)
    shares = [copy / write for copy, write in zip(copies, writes, strict=True)]
    size = sum(array.nbytes for array in model.shared_state.arrays().values())
    stall = "stall of fit, write in the background / write in turn"
    return [
        Figure(stall, 1, statistics.median(shares), "x", turns, quartiles(shares), at_most=0.15, bytes=size),
        Figure("write in turn", 1, statistics.median(writes), "s", turns, quartiles(writes)),
        Figure(
            "copy for a write in the background", 1, statistics.median(copies), "s", turns, quartiles(copies)
        ),
        Figure(
            "training beside such a write is slower by",
            1,
            statistics.median(slower),
            "s",
            turns,
            quartiles(slower),
        ),
    ]


def _speeds(folder: Path, width: int, turns: int) -> list[Figure]:
    random = np.random.default_rng(0)
    arrays = {
        name: random.random(2 * width * width, np.float32) for name in ("weights", "momentum", "velocity")
    }
    checkpoint = Checkpoint({"weights": arrays.pop("weights")}, arrays, {"epoch": 0})
    original, other = folder / "original", folder / "other"
    write_checkpoint(original, checkpoint)
    size = sum(path.stat().st_size for path in original.iterdir())

    def anew(make: Callable[[], object]) -> float:
        shutil.rmtree(other, ignore_errors=True)
        return seconds(make)

    written = alternate(
        lambda: anew(lambda: write_checkpoint(other, checkpoint)),
        lambda: anew(lambda: _copy(original, other)),
        turns,
    )
    read = alternate(lambda: seconds(lambda: load(original)), lambda: seconds(lambda: _read(original)), turns)
    megabytes = size / 1e6
    return [
        Figure(
            "write a checkpoint / copy and sync its files",
            1,
            written.ratio,
            "x",
            turns,
            written.spread,
            bytes=size,
        ),
        Figure("write a checkpoint", 1, megabytes / written.medians[0], "MB/s", turns),
        Figure("read a checkpoint / read its files", 1, read.ratio, "x", turns, read.spread, bytes=size),
        Figure("read a checkpoint", 1, megabytes / read.medians[0], "MB/s", turns),
    ]


def _copy(folder: Path, other: Path) -> None:
    other.mkdir()
    for path in folder.iterdir():
        shutil.copyfile(path, other / path.name)
        with (other / path.name).open("rb+") as file:
            os.fsync(file.fileno())


def _read(folder: Path) -> None:
    for path in folder.iterdir():
        path.read_bytes()


if __name__ == "__main__":
    run(measure)
