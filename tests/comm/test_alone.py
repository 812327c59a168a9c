"""The group of one rank, and a rank on its own in a group."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from distfit.comm import Communicator
from distfit.comm.threads import limit_blas_threads
from distfit.errors import CollectiveInRootHook


def test_a_group_of_one_does_what_a_larger_one_does() -> None:
    comm = Communicator.alone()
    assert (comm.rank, comm.size, comm.is_root, comm.local_rank, comm.local_size) == (0, 1, True, 0, 1)
    comm.barrier()
    array = np.arange(6.0).reshape(3, 2)
    for reduction in ("sum", "min", "max"):
        comm.all_reduce(array, reduction)
    comm.broadcast(array)
    np.testing.assert_array_equal(array, np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(comm.all_gather(array), array)
    assert comm.broadcast_object({"a": 1}) == {"a": 1}
    assert comm.all_gather_object(None) == [None]
    part = comm.split(0)
    assert part is not None
    assert part.size == 1
    assert comm.split(None) is None
    comm.close()


def test_objects_are_copies_as_they_would_be_from_another_rank() -> None:
    comm = Communicator.alone()
    mine = [1, 2]
    received = comm.broadcast_object(mine)
    assert received is not mine


def test_what_is_for_all_ranks_raises_in_a_solo_block() -> None:
    comm = Communicator.alone()
    with comm.solo("Plot.on_epoch_end"):
        assert comm.current is not comm
        with pytest.raises(CollectiveInRootHook, match=r"barrier .*test_alone\.py:\d+.*Plot\.on_epoch_end"):
            comm.barrier()
    comm.barrier()
    with comm.solo(), pytest.raises(CollectiveInRootHook, match=r"with solo\(\)` at .*test_alone\.py"):
        comm.barrier()


def test_solo_blocks_may_be_nested() -> None:
    comm = Communicator.alone()
    with comm.solo(), comm.solo():
        inner = comm.current
    with comm.solo():
        assert comm.current is inner
    assert comm.current is comm


def test_an_error_leaves_an_operation_unchanged() -> None:
    comm = Communicator.alone()
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught, comm.operation("outer"), comm.operation("inner"):
        raise error
    assert caught.value is error
    comm.barrier()


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_the_cores_of_a_node_are_divided_among_its_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    before = blas_threads()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    limit_blas_threads(1)
    assert blas_threads() == before  # alone on its machine
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    limit_blas_threads(3)
    assert blas_threads() == before  # the user has said how many
    monkeypatch.delenv("OMP_NUM_THREADS")
    from threadpoolctl import threadpool_limits

    with threadpool_limits():  # puts the limits back behind the test
        limit_blas_threads(6)
        assert blas_threads() == {1}
        limit_blas_threads(100)
        assert blas_threads() == {1}
