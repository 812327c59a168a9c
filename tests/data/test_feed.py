"""The global batches of an epoch, as all ranks together see them."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distfit import data
from distfit.data import (
    Batch,
    EvenPartition,
    Feed,
    HeldPartition,
    IndexedFeed,
    Order,
    StreamFeed,
    read_inputs,
)


def indexed(
    rows: int,
    batch_size: int,
    rank: int = 0,
    size: int = 1,
    *,
    shuffle: bool = True,
    steps: int | None = None,
) -> IndexedFeed:
    source = read_inputs(np.arange(rows), 10 * np.arange(rows)).source
    assert source is not None
    return IndexedFeed(
        source,
        Order(rows, shuffle=shuffle),
        batch_size,
        EvenPartition(rank, size),
        training=True,
        steps=steps,
    )


def epoch_of(feed: Feed, epoch: int, step: int = 0) -> list[Batch]:
    feed.begin(epoch, seed=3)
    batches = []
    while feed.has_next:
        batches.append(feed.fetch(step + len(batches)))
        assert batches[-1].has_next == feed.has_next
    return batches


def together(feeds: list[Feed], epoch: int) -> list[list[int]]:
    """Return the rows of each global batch, in the order of the ranks."""
    shards = [epoch_of(feed, epoch) for feed in feeds]
    return [
        [int(row) for shard in batch if shard.rows for row in shard[0]] for batch in zip(*shards, strict=True)
    ]


@given(rows=st.integers(1, 200), batch_size=st.integers(1, 250), size=st.integers(1, 6))
def test_every_row_comes_once_an_epoch_at_any_number_of_ranks(rows: int, batch_size: int, size: int) -> None:
    feeds: list[Feed] = [indexed(rows, batch_size, rank, size) for rank in range(size)]
    alone = together([indexed(rows, batch_size)], epoch=2)
    assert together(feeds, epoch=2) == alone
    assert sorted(row for batch in alone for row in batch) == list(range(rows))
    assert [len(batch) for batch in alone[:-1]] == [batch_size] * (-(-rows // batch_size) - 1)
    assert all(batch == sorted(batch) for batch in alone)  # files are read in order


@given(
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=5).filter(any), batch_size=st.integers(1, 40)
)
def test_parts_that_ranks_hold_are_one_data_set(lengths: list[int], batch_size: int) -> None:
    total = sum(lengths)
    feeds: list[Feed] = []
    for rank, length in enumerate(lengths):
        offset = sum(lengths[:rank])
        source = read_inputs(np.arange(offset, offset + length)).source
        assert source is not None
        partition = HeldPartition(offset, length)
        feeds.append(IndexedFeed(source, Order(total), batch_size, partition, training=True))
    assert together(feeds, epoch=1) == together([indexed(total, batch_size)], epoch=1)


def test_the_order_is_that_of_the_seed_with_which_an_epoch_begins() -> None:
    """A training that is resumed learns its seed after its feed was made, and may be begun with another one before."""
    feed = indexed(40, 4)
    for seed in (1, 2, 1):
        feed.begin(0, seed)
        np.testing.assert_array_equal(feed.fetch(0)[0], np.sort(Order(40, seed).rows(0, 0, 4)))


def test_places_order_the_rows_of_all_ranks_and_batches() -> None:
    shards = [epoch_of(indexed(23, 7, rank, 3, shuffle=False), 0) for rank in range(3)]
    placed = sorted(
        (shard.place + i, int(row))
        for rank in shards
        for shard in rank
        if shard.rows
        for i, row in enumerate(shard[0])
    )
    assert [row for _, row in placed] == list(range(23))
    assert len({place for place, _ in placed}) == 23


def test_x_and_y_stay_together() -> None:
    for x, y in epoch_of(indexed(20, 6), 0):
        np.testing.assert_array_equal(y, 10 * x)


def test_epochs_of_a_given_length_go_on_where_the_one_before_ended() -> None:
    feed = indexed(10, 4, shuffle=False, steps=2)  # one pass has 3 batches
    assert feed.steps == 2
    seen = [[x.tolist() for x, _ in epoch_of(feed, epoch)] for epoch in range(3)]
    passed = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert seen == [passed[:2], [passed[2], passed[0]], passed[1:]]


def test_an_epoch_may_be_longer_than_the_data() -> None:
    feed = indexed(4, 4, shuffle=False, steps=3)
    assert [x.tolist() for x, _ in epoch_of(feed, 0)] == [[0, 1, 2, 3]] * 3


def test_a_shard_without_rows_reads_nothing() -> None:
    class Unread:
        def __len__(self) -> int:
            return 1

        def __getitem__(self, rows: Any) -> np.ndarray:
            raise AssertionError("this rank has no rows")

    source = read_inputs(Unread()).source
    assert source is not None
    feed = IndexedFeed(source, Order(1), 1, EvenPartition(1, 2), training=True)
    (batch,) = epoch_of(feed, 0)
    (x,) = batch  # it unpacks as any other
    assert (batch.rows, len(x)) == (0, 0)


# -- augmentation -----------------------------------------------------------------------------------------------------


def noisy(rows: np.ndarray, context: Any) -> np.ndarray:
    noise = context.rng_rows.normal(rows.shape[1:], "float64")
    flips = context.rng_rows.uniform((), "float64") < 0.5
    return np.where(flips[:, None], -rows, rows) + noise if context.training else rows


def mapped_epoch(rank: int, size: int, *, training: bool = True, epoch: int = 0, step: int = 0) -> list[Any]:
    x = np.arange(57.0).reshape(19, 3)
    source = read_inputs(data.map(x, noisy)).source
    assert source is not None
    feed = IndexedFeed(source, Order(19), 8, EvenPartition(rank, size), training=training)
    return epoch_of(feed, epoch, step)


@pytest.mark.parametrize("size", [2, 3, 5, 9])
def test_what_augmentation_draws_for_a_row_does_not_depend_on_its_rank(size: int) -> None:
    shards = [mapped_epoch(rank, size) for rank in range(size)]
    for number, (whole,) in enumerate(mapped_epoch(0, 1)):
        parts = [shard[number][0] for shard in shards if shard[number].rows]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_augmentation_differs_from_step_to_step_and_is_off_in_evaluation() -> None:
    first, again = mapped_epoch(0, 1), mapped_epoch(0, 1, step=100)
    assert all((a != b).all() for (a,), (b,) in zip(first, again, strict=True))
    plain = np.concatenate([x for (x,) in mapped_epoch(0, 1, training=False)])
    np.testing.assert_array_equal(np.sort(plain[:, 0]), np.arange(0.0, 57.0, 3.0))


def test_two_arrays_get_numbers_of_their_own_and_maps_may_be_stacked() -> None:
    zeros = np.zeros((6, 2))
    source = read_inputs({"a": data.map(zeros, noisy), "b": data.map(data.map(zeros, noisy), noisy)}).source
    assert source is not None
    (x,) = source.finish(source.read(np.arange(6)), seed=1, step=0, first_row=0, training=True)
    assert (x["a"] != x["b"]).all()
    assert not np.allclose(np.abs(x["b"]), 2 * np.abs(x["a"]))


# -- streams ----------------------------------------------------------------------------------------------------------


class Stream:
    """Yields batches, and raises where one of them is an error; can be read again."""

    def __init__(self, *batches: Any) -> None:
        self.batches = batches
        self.read = 0

    def __iter__(self) -> Iterator[Any]:
        for batch in self.batches:
            self.read += 1
            if isinstance(batch, Exception):
                raise batch
            yield batch


def batches(*lengths: int) -> list[tuple[np.ndarray, np.ndarray]]:
    edges = np.cumsum([0, *lengths])
    return [(np.arange(a, b), 10 * np.arange(a, b)) for a, b in itertools.pairwise(edges)]


@given(lengths=st.lists(st.integers(0, 20), min_size=1, max_size=5), size=st.integers(1, 6))
def test_ranks_share_each_batch_of_a_stream(lengths: list[int], size: int) -> None:
    given_batches = batches(*lengths)
    feeds: list[Feed] = [StreamFeed(Stream(*given_batches), rank, size) for rank in range(size)]
    assert together(feeds, 0) == [x.tolist() for x, _ in given_batches]
    assert together(feeds, 1) == [x.tolist() for x, _ in given_batches]  # the stream begins again


def test_a_rank_keeps_all_of_its_own_stream() -> None:
    feeds: list[Feed] = [
        StreamFeed(Stream(*batches(length)), rank, 3, local=True) for rank, length in enumerate([4, 0, 2])
    ]
    assert together(feeds, 0) == [[0, 1, 2, 3, 0, 1]]


def test_a_rank_whose_own_stream_has_ended_has_no_rows() -> None:
    feed = StreamFeed(Stream(*batches(4)), 1, 2, local=True)
    epoch_of(feed, 0)
    batch = feed.fetch(1)  # another rank has a next batch
    assert (batch.rows, batch.has_next) == (0, False)


def test_an_error_of_a_stream_surfaces_at_its_batch_and_not_before() -> None:
    feed = StreamFeed(Stream(*batches(2, 2), OSError("tape")), 0, 1)
    feed.begin(0, seed=3)
    feed.fetch(0)
    feed.fetch(1)
    assert feed.has_next
    with pytest.raises(OSError, match="tape"):
        feed.fetch(2)


def test_steps_of_a_stream_go_on_and_start_again_at_its_end() -> None:
    feed = StreamFeed(Stream(*batches(1, 1, 1)), 0, 1, steps=2)
    seen = [[x.tolist() for x, _ in epoch_of(feed, epoch)] for epoch in range(3)]
    assert seen == [[[0], [1]], [[2], [0]], [[1], [2]]]


def test_a_generator_is_read_once() -> None:
    feed = StreamFeed((batch for batch in batches(2, 3)), 0, 1)
    assert [batch.rows for batch in epoch_of(feed, 0)] == [2, 3]
    assert epoch_of(feed, 1) == []


def test_evaluations_of_some_steps_begin_at_the_streams_start() -> None:
    feed = StreamFeed(Stream(*batches(1, 1, 1)), 0, 1, steps=2, begins_anew=True)
    seen = [[x.tolist() for x, _ in epoch_of(feed, epoch)] for epoch in range(3)]
    assert seen == [[[0], [1]]] * 3


def test_where_a_generator_cannot_begin_again_evaluations_go_on_and_lose_no_batch() -> None:
    feed = StreamFeed((batch for batch in batches(1, 1, 1, 1)), 0, 1, steps=2, begins_anew=True)
    seen = [[x.tolist() for x, _ in epoch_of(feed, epoch)] for epoch in range(3)]
    assert seen == [[[0], [1]], [[2], [3]], []]


def test_an_iterator_of_the_users_own_that_only_goes_on_loses_no_batch() -> None:
    class Once:
        def __init__(self) -> None:
            self.left = batches(1, 1, 1, 1)

        def __iter__(self) -> Iterator[Any]:
            return self

        def __next__(self) -> Any:
            if not self.left:
                raise StopIteration
            return self.left.pop(0)

    feed = StreamFeed(Once(), 0, 1, steps=2, begins_anew=True)
    assert [[x.tolist() for x, _ in epoch_of(feed, epoch)] for epoch in range(2)] == [[[0], [1]], [[2], [3]]]


def test_an_error_that_was_not_due_is_not_that_of_the_next_evaluation() -> None:
    feed = StreamFeed(Stream(*batches(1, 1), OSError("tape")), 0, 1, steps=2, begins_anew=True)
    assert [[x.tolist() for x, _ in epoch_of(feed, epoch)] for epoch in range(2)] == [[[0], [1]]] * 2


def test_a_stream_that_is_its_own_iterator_may_begin_again() -> None:
    class Rewinding:
        def __iter__(self) -> Iterator[Any]:
            self.left = batches(1, 1, 1)
            return self

        def __next__(self) -> Any:
            if not self.left:
                raise StopIteration
            return self.left.pop(0)

    feed = StreamFeed(Rewinding(), 0, 1, steps=2, begins_anew=True)
    seen = [[x.tolist() for x, _ in epoch_of(feed, epoch)] for epoch in range(2)]
    assert seen == [[[0], [1]]] * 2


def test_a_generator_without_end_gives_epochs_of_the_steps_asked_for() -> None:
    def endless() -> Iterator[np.ndarray]:
        number = 0
        while True:
            yield np.array([number])
            number += 1

    feed = StreamFeed(endless(), 0, 1, steps=3)
    assert [[x.tolist() for (x,) in epoch_of(feed, e)] for e in range(2)] == [
        [[0], [1], [2]],
        [[3], [4], [5]],
    ]


def test_a_stream_is_read_one_batch_ahead_and_no_further() -> None:
    stream = Stream(*batches(1, 1, 1, 1))
    feed = StreamFeed(stream, 0, 1)
    feed.begin(0, seed=3)
    feed.fetch(0)
    assert stream.read == 2


def test_a_batch_whose_parts_have_different_numbers_of_rows() -> None:
    feed = StreamFeed(Stream((np.zeros(3), np.zeros(2))), 0, 1)
    feed.begin(0, seed=3)
    with pytest.raises(ValueError, match=r"different numbers of rows: \[2, 3\]"):
        feed.fetch(0)


def test_class_weights_weigh_a_stream() -> None:
    x, y = np.zeros((4, 1)), np.array([0, 1, 2, 1])
    weighted = StreamFeed(Stream((x, y), (x, y, np.full(4, 2.0))), 0, 1, class_weight={1: 3.0, 2: 0.5})
    (_, _, first), (_, _, second) = epoch_of(weighted, 0)
    np.testing.assert_array_equal(first, [1.0, 3.0, 0.5, 3.0])
    np.testing.assert_array_equal(second, [2.0, 6.0, 1.0, 6.0])
