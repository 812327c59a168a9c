"""Checkpoints on disk: whole or absent, verified, and readable without training."""

from distfit.checkpoint.arrays import read_arrays, write_arrays
from distfit.checkpoint.atomic import write_atomically
from distfit.checkpoint.background_writer import BackgroundWriter
from distfit.checkpoint.checkpoint import Checkpoint
from distfit.checkpoint.damage import DamagedCheckpoint, NewerCheckpoint
from distfit.checkpoint.folder import load, verify, write_checkpoint
from distfit.checkpoint.parts import Slice, write_part
from distfit.checkpoint.retention import Retention
from distfit.checkpoint.snapshot import Snapshot
from distfit.checkpoint.store import Store

__all__ = [
    "BackgroundWriter",
    "Checkpoint",
    "DamagedCheckpoint",
    "NewerCheckpoint",
    "Retention",
    "Slice",
    "Snapshot",
    "Store",
    "load",
    "read_arrays",
    "verify",
    "write_arrays",
    "write_atomically",
    "write_checkpoint",
    "write_part",
]
