"""Small helpers that every other room may use."""

from distfit.utils.numerical import to_categorical
from distfit.utils.seeding import set_random_seed

__all__ = ["set_random_seed", "to_categorical"]
