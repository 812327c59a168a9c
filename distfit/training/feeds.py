"""From a data set and the ranks' shares of it to the global batches of an epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from distfit.comm import Communicator
from distfit.data import EvenPartition, Feed, HeldPartition, IndexedFeed, Inputs, Order, Partition, StreamFeed
from distfit.errors import CollectiveInRootHook, DataMismatch
from distfit.utils.counts import is_count

DEFAULT_BATCH_SIZE = 32
_FEW_ROWS = 8


@dataclass(frozen=True, slots=True)
class Batching:
    """How an epoch is cut into global batches.

    Attributes:
        batch_size: rows over all ranks, or None for the default.
        steps: batches of an epoch, or None for one pass over the data.
        shuffle: whether each epoch has an order of its own.
        training: whether augmentations are on.
    """

    batch_size: int | None = None
    steps: int | None = None
    shuffle: bool = False
    training: bool = False

    def check(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: naming the one that is wrong.
        """
        for name, value in (("batch_size", self.batch_size), ("the number of steps", self.steps)):
            if value is not None and not is_count(value):
                raise ValueError(f"{name} is a whole number of at least 1. Received: {value!r}")

    def suited_to(self, inputs: Inputs) -> Batching:
        """Return this with what the data say themselves: a batch size where the user gave none, and the order."""
        batch_size = inputs.batch_size if self.batch_size is None else self.batch_size
        shuffle = self.shuffle if inputs.shuffle is None else self.training and inputs.shuffle
        return replace(self, batch_size=batch_size, shuffle=shuffle)


def make_feed(inputs: Inputs, rows: list[int], batching: Batching, comm: Communicator) -> Feed:
    """Return this rank's view of the global batches.

    Args:
        inputs: this rank's data.
        rows: how many rows each rank's data have; of a stream, nothing.
        batching: how they are cut.
        comm: the ranks that share the data.

    Raises:
        ValueError: if there are no rows at all.

    Ranks: local; all raise or none, since all know all numbers of rows.
    """
    if inputs.source is None:
        if inputs.stream is None:
            raise ValueError("no data")
        return StreamFeed(
            inputs.stream,
            comm.rank,
            comm.size,
            local=inputs.local,
            steps=batching.steps,
            begins_anew=not batching.training,
            class_weight=inputs.class_weight,
        )
    partition: Partition
    if inputs.local:
        total = sum(rows)
        partition = HeldPartition(sum(rows[: comm.rank]), rows[comm.rank])
    else:
        total = rows[comm.rank]
        partition = EvenPartition(comm.rank, comm.size)
    if total == 0:
        raise ValueError("the data set is empty: x has no rows on any rank")
    batch_size = batching.batch_size or (
        -(-total // batching.steps) if batching.steps else DEFAULT_BATCH_SIZE
    )
    if batching.training and batch_size < _FEW_ROWS * comm.size:
        comm.announce(
            f"batch_size={batch_size} is that of all {comm.size} ranks together: {batch_size / comm.size:.3g} rows each"
            " hardly pay for their communication. Take a larger one, or fewer ranks."
        )
    return IndexedFeed(
        inputs.source,
        Order(total, shuffle=batching.shuffle),
        batch_size,
        partition,
        training=batching.training,
        steps=batching.steps,
    )


def check_local(inputs: Inputs, comm: Communicator, whole: Communicator) -> None:
    """Raise if a rank on its own was given a part of a data set that only all ranks together hold.

    Raises:
        CollectiveInRootHook: naming the remedy.
    """
    if inputs.local and comm is not whole:
        raise CollectiveInRootHook(
            "a LocalPart is this rank's part of the data of all ranks, but only this rank is here. Evaluate it where"
            " all ranks do: in a callback with ranks = 'all', or behind fit"
        )


def check_any(has_next: int) -> None:
    """Raise if an epoch or an evaluation has no batch at all.

    Raises:
        ValueError: on all ranks.

    Ranks: local; `has_next` is agreed, so that all raise or none.
    """
    if not has_next:
        raise ValueError(
            "the iterable yields no batch. A generator can be read only once: give an object whose __iter__ starts"
            " again, or steps_per_epoch= and a generator that yields enough for all epochs"
        )


def check_together(has_next: int, inputs: Inputs, comm: Communicator) -> None:
    """Raise if only some ranks see another batch of what should be one stream.

    Raises:
        DataMismatch: on all ranks.

    Ranks: local; `has_next` is agreed, so that all raise or none.
    """
    if not inputs.local and 0 < has_next < comm.size:
        raise DataMismatch(
            f"the iterable has ended on {comm.size - has_next} of {comm.size} ranks, but not on the others. It has to"
            " yield the same global batches on all ranks; a stream of each rank's own goes into data.LocalPart"
        )
