"""A training that somebody kills: python interrupted.py ENGINE FOLDER WATCHER KIND EVENT VICTIMS.

It writes what it arrives at to FOLDER. On rank WATCHER the events of one KIND are counted, ``train`` or ``write``: at
number EVENT that rank kills the VICTIMS, ranks divided by commas. A training that nobody kills has -1 for EVENT; it
prints how many events there were.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
from faults.killed_models import MODELS
from support import faulty

from distfit import callbacks, config, utils

engine, folder = sys.argv[1], Path(sys.argv[2])
watcher, kind, event = int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
victims = [int(rank) for rank in sys.argv[6].split(",")]

config.set_floatx("float64")
utils.set_random_seed(11)
random = np.random.default_rng(5)
x = random.normal(size=(205, 6))
y = (x[:, :1] * x[:, 1:2] > 0).astype(np.float64)

model = MODELS[engine]()


class Everything(callbacks.Callback):
    """Tells of each hook that it is passed."""


for name in faulty.HOOKS:
    setattr(Everything, name, lambda self, *args, _name=name, **options: faulty.at(_name))

pids = model.comm.all_gather_object(os.getpid())
counts = {"train": 0, "write": 0}


def watch(place: str) -> None:
    found = "write" if place == "checkpoint write" else "train"
    counts[found] += 1
    if model.comm.rank == watcher and found == kind and counts[kind] - 1 == event:
        Path(os.environ["FAULT_STAMP"]).touch()
        # The watcher itself comes last, if it is among them.
        for rank in sorted(victims, key=lambda rank: rank == watcher):
            os.kill(pids[rank], signal.SIGKILL)


with faulty.watched(watch):
    listed: list[Any] = [
        callbacks.EarlyStopping(
            "loss", patience=1, min_delta=0.2, restore_best_weights=True, start_from_epoch=1
        ),
        callbacks.CSVLogger(folder / "log.csv"),
        callbacks.BackupAndRestore(folder / "backup", save_freq=2),
        callbacks.ModelCheckpoint(folder / "{epoch}.weights.safetensors", "loss", save_best_only=True),
        Everything(),
    ]
    history = model.fit(
        faulty.Rows(x),
        y,
        batch_size=32,
        epochs=3,
        validation_data=(x[:20], y[:20]),
        callbacks=listed,
        verbose=0,
    )
if model.comm.is_root:
    result = {"epoch": history.epoch, "history": history.history, "step": model.progress.step}
    (folder / "result.json").write_text(json.dumps(result))
model.save_weights(folder / "final.safetensors", include_optimizer=True)
model.comm.print(json.dumps(model.comm.all_gather_object(counts)))
