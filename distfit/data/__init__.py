"""Which rows a rank sees: the order of an epoch, global batches, shards, and where rows come from."""

from distfit.data.batch import Batch, unpack
from distfit.data.feed import Feed, IndexedFeed
from distfit.data.inputs import Inputs, read_inputs, split_validation
from distfit.data.local_part import LocalPart
from distfit.data.mapping import Mapped, RowContext, map  # noqa: A004 - `data.map` reads as what it is
from distfit.data.node_shared import node_shared
from distfit.data.order import Order
from distfit.data.samples import Samples, samples_of
from distfit.data.shard import EvenPartition, HeldPartition, Partition
from distfit.data.source import Source
from distfit.data.stream import StreamFeed

__all__ = [
    "Batch", "EvenPartition", "Feed", "HeldPartition", "IndexedFeed", "Inputs", "LocalPart", "Mapped", "Order",
    "Partition", "RowContext", "Samples", "Source", "StreamFeed", "map", "node_shared", "read_inputs", "samples_of",
    "split_validation", "unpack",
]  # fmt: skip
