"""The seed that users set once for everything."""

import random as python_random

import numpy as np

_seed: int | None = None


def set_random_seed(seed: int) -> None:
    """Seed Python's, NumPy's and distfit's random numbers.

    What is random in training (initial weights, order of rows, dropout, augmentation) is a function of this seed
    and of the row, and of nothing that a rank does: see `distfit.random`.

    Args:
        seed: an integer from 0 to 2**32 - 1, as NumPy takes it.

    Ranks: local; every rank has to set the same, which the start of `fit` checks.
    """
    global _seed
    python_random.seed(seed)
    np.random.seed(seed)
    _seed = seed


def random_seed() -> int | None:
    """Return the seed that the user set, or None."""
    return _seed
