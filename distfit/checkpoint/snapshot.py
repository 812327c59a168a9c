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
        self._buffers: dict[tuple[str | int, ...], np.ndarray] = {}

    def take(self, checkpoint: Checkpoint) -> Checkpoint:
        """Return a copy. It holds until the next one is taken: what writes it has to have finished by then.

        Args:
            checkpoint: of any arrays. Those whose shape and dtype are those of the last time are copied into the same
                memory.
        """
        held, self._buffers = self._buffers, {}

        def copy(value: Any, place: tuple[str | int, ...]) -> Any:
            """Return a value that shares nothing with `value` that could change."""
            if isinstance(value, np.ndarray):
                buffer = held.get(place)
                if buffer is None or (buffer.shape, buffer.dtype) != (value.shape, value.dtype):
                    buffer = np.empty(value.shape, value.dtype)
                np.copyto(buffer, value)
                self._buffers[place] = buffer
                return buffer
            if isinstance(value, Mapping):
                return {key: copy(item, (*place, key)) for key, item in value.items()}
            if isinstance(value, (list, tuple)):
                items = [copy(item, (*place, index)) for index, item in enumerate(value)]
                return items if isinstance(value, list) else tuple(items)
            return value

        return Checkpoint(
            copy(checkpoint.weights, ("weights",)),
            copy(checkpoint.optimizer, ("optimizer",)),
            copy(checkpoint.state, ("state",)),
        )
