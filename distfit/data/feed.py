"""The global batches of an epoch, of which each rank fetches its rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import ClassVar, NamedTuple

import numpy as np

from distfit.data.batch import Batch
from distfit.data.order import Order
from distfit.data.read_ahead import ReadAhead
from distfit.data.shard import Partition
from distfit.data.source import Source
from distfit.utils.activity import doing

_LOOK_AHEAD_ROWS = 32_768  # of the order, computed at once: NumPy's calls then cost little for each batch
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

    def __enter__(self) -> Feed:
        return self

    def __exit__(  # noqa: B027 - a feed that reads when it is asked holds nothing
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of what reads for this feed."""


class Share(NamedTuple):
    """This rank's rows of a global batch.

    Attributes:
        first_row: the place of the first of them within the global batch.
        place: their place among those of all batches of all passes; see `Batch`.
        numbers: of the rows in the data set, int64.
        mine: the rows where this rank finds them.
    """

    first_row: int
    place: int
    numbers: np.ndarray
    mine: np.ndarray


class IndexedFeed(Feed):
    """Global batches of rows that can be indexed.

    The rows of an epoch's next batch are read while a step computes on this one, where distfit itself reads them and
    that takes long; so two batches are in memory at most. Which rows those are is known beforehand, and nothing that
    is random is drawn in the thread: a training sees the same with it and without, also from a checkpoint on.

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
        self._ordered = _NOTHING
        self._ahead = ReadAhead()
        self._reads_ahead = source.is_read_in_any_thread

    @property
    def has_next(self) -> bool:  # type: ignore[override]
        return self._next < self._stop

    def begin(self, epoch: int, seed: int) -> None:
        if seed != self._order.seed:
            self._order, self._ordered = replace(self._order, seed=seed), _NOTHING
        self._ahead.forget()
        self._next = epoch * self.steps
        self._stop = self._next + self.steps

    def resume(self, epoch: int, batch: int, seed: int, first_epoch: int = 0) -> None:  # noqa: ARG002
        if batch > self.steps:
            raise ValueError(f"an epoch has {self.steps} batches, so that none begins behind {batch} of them")
        self.begin(epoch, seed)
        self._next += batch

    def fetch(self, step: int) -> Batch:
        share = self._share(self._next)
        self._next += 1
        with doing("reads a batch"):
            stored = self._ahead.result(partial(self._source.read, share.mine)) if len(share.mine) else {}
            if self.has_next and self._reads_ahead and self._ahead.pays:
                self._read_ahead(self._share(self._next).mine)
            data = (
                self._source.finish(
                    stored,
                    seed=self._order.seed,
                    step=step,
                    first_row=share.first_row,
                    training=self._training,
                )
                if stored
                else self._source.no_rows()
            )
        return Batch(
            data,
            rows=len(share.mine),
            first_row=share.first_row,
            place=share.place,
            has_next=self.has_next,
            numbers=share.numbers,
        )

    def _read_ahead(self, rows: np.ndarray) -> None:
        if len(rows):
            self._ahead.start(partial(self._source.read, rows))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ahead.__exit__(kind, error, trace)

    def _share(self, number: int) -> Share:
        """Return this rank's share of a batch by its number, counted from the start of the first epoch."""
        passed, index = divmod(number, self._steps_per_pass)
        start = index * self._batch_size
        rows = np.sort(self._rows(passed, start, min(start + self._batch_size, self._order.length)))
        first_row, mine = self._partition.part(rows)
        place = passed * self._order.length + start + first_row
        return Share(first_row, place, rows[first_row : first_row + len(mine)], mine)

    def _rows(self, passed: int, start: int, stop: int) -> np.ndarray:
        known_pass, known_start, known = self._ordered
        if known_pass != passed or start < known_start or stop > known_start + known.size:
            known_start = start
            known = self._order.rows(passed, start, max(stop, start + _LOOK_AHEAD_ROWS))
            self._ordered = passed, start, known
        return known[start - known_start : stop - known_start]
