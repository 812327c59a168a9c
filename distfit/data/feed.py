"""The global batches of an epoch, of which each rank fetches its rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import ClassVar

import numpy as np

from distfit.data.batch import Batch
from distfit.data.order import Order
from distfit.data.shard import Partition
from distfit.data.source import Source
from distfit.utils.activity import doing

_LOOK_AHEAD_ROWS = 8192  # of the order, computed at once: one NumPy call then costs little for each batch
_NOTHING: tuple[int, int, np.ndarray] = (-1, 0, np.empty(0, np.int64))


class Feed(ABC):
    """The global batches of an epoch.

    Attributes:
        steps: of one epoch, or None where that is not known beforehand.
        has_next: whether this rank sees another batch of the epoch. Ranks agree on it after each step.
        is_seekable: whether `resume` costs nothing, however far it goes.

    Ranks: local throughout. `fetch` may raise on any rank; the loop tells the others.
    """

    steps: int | None
    has_next: bool
    is_seekable: ClassVar[bool]

    @abstractmethod
    def begin(self, epoch: int, seed: int) -> None:
        """Go to the start of an epoch.

        Args:
            epoch: its number.
            seed: of the order and the augmentations. Given here, since a training that is resumed learns it late.
        """

    @abstractmethod
    def resume(self, epoch: int, batch: int, seed: int, first_epoch: int = 0) -> None:
        """Go to a place within an epoch, as if the batches before it had been fetched.

        Args:
            epoch: its number.
            batch: the number of the next global batch within it.
            seed: as in `begin`.
            first_epoch: that with which the training began.

        Raises:
            ValueError: if there are not that many batches.
        """

    @abstractmethod
    def fetch(self, step: int) -> Batch:
        """Return this rank's rows of the next global batch.

        Args:
            step: the number under which random numbers are drawn.
        """


class IndexedFeed(Feed):
    """Global batches of rows that can be indexed.

    Args:
        source: this rank's rows, or those of all.
        order: of the rows of the whole data set; its seed is that of `begin`.
        batch_size: rows of a global batch, over all ranks.
        partition: which of them are this rank's.
        training: whether augmentations are on.
        steps: of an epoch. Defaults to those of one pass over the data; an epoch with other ones goes on where the one
            before it ended.
    """

    is_seekable = True

    def __init__(
        self,
        source: Source,
        order: Order,
        batch_size: int,
        partition: Partition,
        *,
        training: bool,
        steps: int | None = None,
    ) -> None:
        self._source = source
        self._order = order
        self._batch_size = batch_size
        self._partition = partition
        self._training = training
        self._steps_per_pass = -(-order.length // batch_size)
        self.steps: int = self._steps_per_pass if steps is None else steps
        self._next = self._stop = 0
        self._ahead = _NOTHING

    @property
    def has_next(self) -> bool:  # type: ignore[override]
        return self._next < self._stop

    def begin(self, epoch: int, seed: int) -> None:
        if seed != self._order.seed:
            self._order, self._ahead = replace(self._order, seed=seed), _NOTHING
        self._next = epoch * self.steps
        self._stop = self._next + self.steps

    def resume(self, epoch: int, batch: int, seed: int, first_epoch: int = 0) -> None:  # noqa: ARG002
        if batch > self.steps:
            raise ValueError(f"an epoch has {self.steps} batches, so that none begins behind {batch} of them")
        self.begin(epoch, seed)
        self._next += batch

    def fetch(self, step: int) -> Batch:
        passed, index = divmod(self._next, self._steps_per_pass)
        self._next += 1
        start = index * self._batch_size
        rows = np.sort(self._rows(passed, start, min(start + self._batch_size, self._order.length)))
        first_row, mine = self._partition.part(rows)
        with doing("reads a batch"):
            data = (
                self._source.rows(
                    mine, seed=self._order.seed, step=step, first_row=first_row, training=self._training
                )
                if len(mine)
                else self._source.no_rows()
            )
        return Batch(
            data,
            rows=len(mine),
            first_row=first_row,
            place=passed * self._order.length + start + first_row,
            has_next=self.has_next,
            numbers=rows[first_row : first_row + len(mine)],
        )

    def _rows(self, passed: int, start: int, stop: int) -> np.ndarray:
        known_pass, known_start, known = self._ahead
        if known_pass != passed or start < known_start or stop > known_start + known.size:
            known_start = start
            known = self._order.rows(passed, start, max(stop, start + _LOOK_AHEAD_ROWS))
            self._ahead = passed, start, known
        return known[start - known_start : stop - known_start]
