"""Weights on disk: files that are whole or absent."""

from distfit.checkpoint.arrays import read_arrays, write_arrays
from distfit.checkpoint.atomic import write_atomically

__all__ = ["read_arrays", "write_arrays", "write_atomically"]
