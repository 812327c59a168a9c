"""Memory that several hold in common, and each may write as its own: here several views of it in one process."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distfit.comm import memory_file
from distfit.comm.node_memory import Field, NodeMemory, reserve

PAGE = os.sysconf("SC_PAGE_SIZE") // 4  # in float32
COMMON, TAIL = 3 * PAGE, 50
FIELDS = {name: Field(COMMON + TAIL, np.dtype(np.float32), COMMON) for name in ("", "momentum")}
GRADIENTS = Field(100, np.dtype(np.float32), 100)


def views(ranks: int) -> list[NodeMemory]:
    size = NodeMemory.bytes_of(FIELDS, GRADIENTS, ranks)
    file, place = memory_file.make("test", size)
    opened = place.open()
    for rank in range(ranks):
        reserve(opened, NodeMemory.stretches(FIELDS, GRADIENTS, rank, ranks))
    memories = [NodeMemory(opened, FIELDS, GRADIENTS, ranks) for _ in range(ranks)]
    os.close(opened)
    os.close(file)
    return memories


def test_what_one_writes_as_its_own_no_other_sees() -> None:
    one, other = views(2)
    one.shared[""][5] = 3
    assert one.own[""][5] == other.own[""][5] == other.shared[""][5] == 3
    one.own[""][6] = 4
    assert other.own[""][6] == other.shared[""][6] == 0
    one.shared[""][5] = 7  # of a page that is one's own by now
    assert (one.own[""][5], other.own[""][5]) == (3, 7)
    one.settle([])
    assert (one.own[""][5], one.own[""][6]) == (7, 0)


def test_what_is_behind_the_common_part_stays_with_each() -> None:
    one, other = views(2)
    one.own[""][COMMON:] = 1
    assert one.written().size == 0
    one.settle([slice(0, COMMON)])
    assert one.own[""][COMMON:].tolist() == [1] * TAIL
    assert not other.own[""][COMMON:].any()


def test_each_reads_the_gradients_of_the_others() -> None:
    one, other = views(2)
    one.gradients[0][:] = 1
    other.gradients[1][:] = 2
    assert [array.tolist() for array in one.gradients] == [[1] * 100, [2] * 100]
    assert [array.tolist() for array in other.gradients] == [[1] * 100, [2] * 100]


@given(
    cuts=st.lists(st.integers(0, COMMON), min_size=2, max_size=2).map(sorted),
    steps=st.lists(
        st.lists(
            st.tuples(st.sampled_from(sorted(FIELDS)), st.integers(0, COMMON - 1), st.integers(1, 2 * PAGE)),
            max_size=3,
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_what_all_write_alike_becomes_common_wherever_the_parts_are_cut(
    cuts: list[int], steps: list[list[tuple[str, int, int]]]
) -> None:
    bounds = [0, *cuts, COMMON]
    memories = views(3)
    expected = {name: np.zeros(COMMON, np.float32) for name in FIELDS}
    for number, writes in enumerate(steps, start=1):
        for name, start, length in writes:
            place = slice(start, min(start + length, COMMON))
            for array in (expected[name], *(memory.own[name] for memory in memories)):
                array[place] += number
        for memory, first, last in zip(memories, bounds[:-1], bounds[1:], strict=True):
            memory.settle([slice(first, last)])
        for memory in memories:
            assert memory.written().size == 0
            for name, array in expected.items():
                np.testing.assert_array_equal(memory.own[name][:COMMON], array)


def test_memory_that_is_not_there_is_an_error_and_no_crash() -> None:
    file, _ = memory_file.make("test", 100)
    with pytest.raises(ValueError, match="mmap length is greater than file size"):
        NodeMemory(file, FIELDS, GRADIENTS, 1)
    os.close(file)


def blocks(memory_size: int, fields: dict[str, Field], rank: int, ranks: int) -> int:
    """Return how many bytes the system has found for a file, when one of some ranks has reserved its stretches."""
    file, _ = memory_file.make("test", memory_size)
    reserve(file, NodeMemory.stretches(fields, GRADIENTS, rank, ranks))
    found = os.fstat(file).st_blocks * 512
    os.close(file)
    return found


def test_of_an_array_of_which_a_rank_holds_places_it_reserves_these_alone() -> None:
    ranks, page = 3, 4 * PAGE
    size = NodeMemory.bytes_of(FIELDS, GRADIENTS, ranks)
    places = (slice(0, PAGE), slice(2 * PAGE, 2 * PAGE + 1))
    held = {name: Field(COMMON + TAIL, np.dtype(np.float32), COMMON, places) for name in FIELDS}
    none = {name: Field(COMMON + TAIL, np.dtype(np.float32), COMMON, ()) for name in FIELDS}
    of_gradients = page
    assert blocks(size, held, 1, ranks) == of_gradients + len(held) * 2 * page
    assert blocks(size, none, 1, ranks) == of_gradients


@given(ranks=st.integers(1, 7))
def test_all_ranks_together_reserve_all(ranks: int) -> None:
    size = NodeMemory.bytes_of(FIELDS, GRADIENTS, ranks)
    file, _ = memory_file.make("test", size)
    for rank in range(ranks):
        reserve(file, NodeMemory.stretches(FIELDS, GRADIENTS, rank, ranks))
    assert os.fstat(file).st_blocks * 512 == size
    os.close(file)


def test_what_is_forgotten_is_read_as_all_have_it() -> None:
    one, other = views(2)
    one.own["momentum"][5] = one.own[""][5] = 3
    other.shared["momentum"][5] = 4
    one.forget(["momentum"])
    assert (one.own["momentum"][5], one.own[""][5]) == (4, 3)


def test_memory_is_found_for_what_others_held() -> None:
    (one,) = views(1)
    one.shared["momentum"][5] = 4
    one.find(["momentum"], 0, 1)
    assert one.own["momentum"][5] == 4
