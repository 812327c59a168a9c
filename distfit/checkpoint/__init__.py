"""Weights on disk: files that are whole or absent."""

from distfit.checkpoint.arrays import read_arrays, write_arrays
from distfit.checkpoint.atomic import write_atomically
from distfit.checkpoint.backups import Backups

__all__ = ["Backups", "read_arrays", "write_arrays", "write_atomically"]
