"""An optimizer over a flat arena: one pass, in chunks that fit the cache."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distfit.utils.configured import Configured


@dataclass(frozen=True, slots=True)
class Segment:
    """Where one trainable parameter lies in the arena.

    Attributes:
        name: of the parameter, such as ``"dense/kernel"``.
        start: first element.
        stop: one past its last element.
    """

    name: str
    start: int
    stop: int
