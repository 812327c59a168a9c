"""Which rows of a global batch are a rank's."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distfit.data import EvenPartition, HeldPartition
from distfit.data.shard import bounds

SIZES = st.integers(1, 70)


@given(length=st.integers(0, 500), size=SIZES)
def test_parts_follow_each_other_and_are_as_equal_as_can_be(length: int, size: int) -> None:
    parts = [bounds(length, rank, size) for rank in range(size)]
    assert parts[0][0] == 0
    assert parts[-1][1] == length
    assert all(stop == start for (_, stop), (start, _) in itertools.pairwise(parts))
    lengths = [stop - start for start, stop in parts]
    assert max(lengths) - min(lengths) <= 1


@given(rows=st.sets(st.integers(0, 10**9)), size=SIZES)
def test_even_partitions_cover_the_batch_in_order(rows: set[int], size: int) -> None:
    batch = np.array(sorted(rows), np.int64)
    parts = [EvenPartition(rank, size).part(batch) for rank in range(size)]
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), batch)
    lengths = [len(part) for _, part in parts]
    assert [first for first, _ in parts] == [sum(lengths[:rank]) for rank in range(size)]


@given(lengths=st.lists(st.integers(0, 40), min_size=1, max_size=8), data=st.data())
def test_held_partitions_cover_the_batch_in_order(lengths: list[int], data: st.DataObject) -> None:
    total = sum(lengths)
    chosen = data.draw(st.sets(st.integers(0, max(total - 1, 0)), max_size=total)) if total else set()
    batch = np.array(sorted(chosen), np.int64)
    seen, place = [], 0
    for rank, length in enumerate(lengths):
        offset = sum(lengths[:rank])
        first, mine = HeldPartition(offset, length).part(batch)
        assert first == place
        assert all(0 <= row < length for row in mine)  # where this rank finds them
        seen.extend(int(row) + offset for row in mine)
        place += len(mine)
    assert seen == batch.tolist()
