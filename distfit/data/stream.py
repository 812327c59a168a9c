"""Batches from an iterable: one global stream of which each rank keeps its rows, or a stream of each rank's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from distfit.data.batch import Batch, unpack
from distfit.data.feed import Feed
from distfit.data.shard import bounds
from distfit.data.source import weigh_classes
from distfit.utils.activity import doing
from distfit.utils.nested import leaves, map_leaves


class StreamFeed(Feed):
    """Global batches from an iterable.

    The stream is read one batch ahead, so that all ranks know after each step whether there is another. An error in
    reading it is kept, and raised when that batch is due: not at all if training ended before.

    Args:
        stream: yields x, ``(x, y)`` or ``(x, y, sample_weight)``.
        rank: this rank.
        size: how many there are.
        local: True where each rank has a stream of its own, and keeps all of what that yields.
        steps: of an epoch. Defaults to the whole stream; with a number, epochs go on where the one before ended.
        begins_anew: whether they begin at the start all the same, as evaluations do in Keras. A generator, which
            has no start to go back to, goes on.
        class_weight: weights by class number, or None.
    """

    is_seekable = False

    def __init__(
        self,
        stream: Iterable[Any],
        rank: int,
        size: int,
        *,
        local: bool = False,
        steps: int | None = None,
        begins_anew: bool = False,
        class_weight: dict[int, float] | None = None,
    ) -> None:
        self._stream = stream
        self._rank = rank
        self._size = size
        self._local = local
        self._class_weight = class_weight
        self.steps = steps
        self._begins_anew = begins_anew or steps is None
        self._iterator: Iterator[Any] | None = None
        self._ahead: Any = None
        self._error: Exception | None = None
        self._left = 0
        self._seen = self._batches = 0

    def begin(self, epoch: int, seed: int) -> None:  # noqa: ARG002 - a stream knows only how to go on
        if self._iterator is None or self._begins_anew:
            self._iterator, self._error = iter(self._stream), None
            self._read()
        self._left = self.steps if self.steps is not None else -1
        self._settle()

    def resume(self, epoch: int, batch: int, seed: int, first_epoch: int = 0) -> None:
        """Read the stream again, from the start up to that place: what it yields may depend on what it has yielded."""
        for earlier in range(first_epoch, epoch):
            self.begin(earlier, seed)
            while self.has_next:
                self.fetch(0)
        self.begin(epoch, seed)
        self._skip(batch)

    def _skip(self, batches: int) -> None:
        for skipped in range(batches):
            if not self.has_next:
                if self._local:  # other ranks had more
                    return
                raise ValueError(
                    f"the iterable has ended after {skipped} batches of an epoch, of which {batches} were trained on"
                    " before: it has to yield the same ones again"
                )
            self.fetch(0)

    def _read(self) -> None:
        """Read one batch ahead; None at the end of the stream."""
        self._ahead = None
        try:
            with doing("reads a batch"):
                self._ahead = next(self._iterator) if self._iterator is not None else None
        except StopIteration:
            pass
        except Exception as error:
            self._error = error

    def _settle(self) -> None:
        if self._ahead is None and self._error is None and self._left > 0:
            self._iterator = iter(self._stream)  # an epoch of a given length starts the stream again
            self._read()
        self.has_next = self._left != 0 and (self._ahead is not None or self._error is not None)

    def fetch(self, step: int) -> Batch:  # noqa: ARG002 - no augmentation of ours
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._ahead is None:  # other ranks have a next batch, this one has not
            return Batch((), rows=0, first_row=self._rank << 32, has_next=False)
        given = self._ahead
        self._left -= 1
        if self._left == 0 and self._begins_anew:
            # Nothing is read ahead: what cannot begin again goes on behind the batches that were due.
            self._ahead, self.has_next = None, False
        else:
            self._read()
            self._settle()
        data = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        data = map_leaves(np.asarray, data)
        if self._class_weight is not None:
            data = weigh_classes(data, self._class_weight)
        lengths = {len(leaf) for _, leaf in leaves(tuple(unpack(data)))}
        if len(lengths) != 1:
            raise ValueError(
                f"a batch of the iterable has parts with different numbers of rows: {sorted(lengths)}"
            )
        return self._keep(data, lengths.pop())

    def _keep(self, data: tuple[Any, ...], rows: int) -> Batch:
        if self._local:
            # What the ranks before this one bring is not known, and not worth a message: a rank's rows are told apart
            # from all others by its number in the upper bits.
            start, stop, first_row = 0, rows, self._rank << 32
            place = (self._batches << 40) + (self._rank << 20)
        else:
            start, stop = bounds(rows, self._rank, self._size)
            first_row, place = start, self._seen + start
        self._seen += rows
        self._batches += 1
        kept = map_leaves(lambda leaf: leaf[start:stop], data)
        return Batch(kept, rows=stop - start, first_row=first_row, place=place, has_next=self.has_next)
