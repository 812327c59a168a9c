"""A training with one fault in it: python program.py ENGINE FAULT PLACE RANKS; see injection.py for the faults."""

import atexit
import importlib
import os
import sys
from pathlib import Path

from faults.injection import INTERRUPTED, Fault, rank_of_environment
from support import faulty

from distfit import callbacks

parts = importlib.import_module({"numpy": "support.faulty", "torch": "support.faulty_torch"}[sys.argv[1]])
fault = Fault(*sys.argv[2:], rank=rank_of_environment())
atexit.register(fault.at, "at exit")
out = Path(os.environ["FAULT_OUT"])

with faulty.watched(fault.at):
    model = parts.model()
    fault.model = model
    x, y = faulty.rows()
    if fault.is_("short data", "data"):
        x, y = x[:-1], y[:-1]
    if fault.is_("other data", "data"):
        y = y + 1.0
    if fault.is_("NaN", "data"):
        x[5] = float("nan")
    folder = out
    if fault.is_("unwritable path", "files"):
        folder = out / "a file"
        folder.touch()
    listed = [
        callbacks.TerminateOnNaN(raise_error=True),
        callbacks.CSVLogger("/dev/full" if fault.is_("disk full", "log") else out / "log.csv"),
        callbacks.ModelCheckpoint(folder / "{epoch}.weights.safetensors"),
    ]
    if fault.is_("other callbacks", "callbacks"):
        listed.append(callbacks.EarlyStopping("loss"))
    for _ in range(2):
        faulty.train(model, fault.place, x, y, listed)
        if model.interrupted:
            model.comm.print("training ends early")
            sys.exit(INTERRUPTED)
        fault.at("between fits")
    fault.at("after fit")
print("done", flush=True)
