"""What a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that a training needs to go on as if it had not stopped.

    Attributes:
        weights: the variables, by name, such as ``"dense/kernel"``.
        optimizer: the optimizer's arrays, by slot name.
        state: everything else: numbers, text, None, booleans, lists, tuples, dicts with text as keys, NumPy arrays and
            scalars, one within the other as one likes. Some names mean something to whoever looks at checkpoints:
            ``"epoch"``, how many epochs are finished; ``"batch"``, how many batches of the next one; ``"step"``, how
            many global batches since the start; ``"seed"``; ``"logs"``, the last ones, numbers by name;
            ``"callbacks"``, the callbacks' states.

    Example:
        >>> import numpy as np, tempfile
        >>> from distfit.checkpoint import Checkpoint, load, write_checkpoint
        >>> path = tempfile.mkdtemp() + "/first"
        >>> weights = {"dense/kernel": np.ones((2, 3), np.float32)}
        >>> write_checkpoint(path, Checkpoint(weights, {}, {"epoch": 3, "logs": {"loss": 0.1}}))
        >>> load(path).state["logs"]
        {'loss': 0.1}
    """

    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    optimizer: Mapping[str, np.ndarray] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)
