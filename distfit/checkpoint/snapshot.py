"""A copy of a checkpoint, which a thread may write while the training goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from distfit.checkpoint.checkpoint import Checkpoint


class Snapshot:
    """Copies checkpoints into memory that is used again.

    Fresh memory has to be cleared by the operating system page by page, which takes longer than the copy: only the
    first one pays for it.

    Example:
        >>> import numpy as np
        >>> from distfit.checkpoint import Checkpoint, Snapshot
        >>> weights = {"kernel": np.zeros(2)}
        >>> taken = Snapshot().take(Checkpoint(weights))
        >>> weights["kernel"] += 1
        >>> taken.weights["kernel"]
        array([0., 0.])

    Ranks: local; one rank.
    """

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, str], np.ndarray] = {}

    def take(self, checkpoint: Checkpoint) -> Checkpoint:
        """Return a copy. It holds until the next one is taken: what writes it has to have finished by then.

        Args:
            checkpoint: of any arrays. Those whose shape and dtype are those of the last time are copied into the same
                memory.
        """
        held, self._buffers = self._buffers, {}

        def copies(section: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            taken = {}
            for name, array in arrays.items():
                buffer = held.get((section, name))
                if buffer is None or (buffer.shape, buffer.dtype) != (array.shape, array.dtype):
                    buffer = np.empty(array.shape, array.dtype)
                np.copyto(buffer, array)
                taken[name] = self._buffers[section, name] = buffer
            return taken

        return Checkpoint(
            copies("weights", checkpoint.weights),
            copies("optimizer", checkpoint.optimizer),
            {key: _copy(value) for key, value in checkpoint.state.items()},
        )


def _copy(value: Any) -> Any:
    """Return a value that shares nothing with it that could change."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_copy(item) for item in value)
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value
