"""One copy of the data for the ranks of a job on a node."""

from pathlib import Path

import numpy as np
import pytest
from support.small import regression

from distfit import data
from distfit.comm import Communicator
from distfit.datasets import digits


def loaded(comm: Communicator, name: str, folder: Path | None) -> tuple[int, list[np.ndarray]]:
    """Return how many ranks have loaded, and what this one got."""
    loads = []

    def load() -> list[np.ndarray]:
        loads.append(comm.rank)
        return [np.arange(20.0).reshape(10, 2), np.full((10, 1), 2.0)]

    arrays = data.node_shared(load, name=name, folder=folder)
    return len([rank for ranks in comm.all_gather_object(loads) for rank in ranks]), arrays


@pytest.mark.parametrize("on_disk", [False, True])
def test_one_rank_loads_and_all_train_on_it(comm: Communicator, on_disk: bool, tmp_path: Path) -> None:
    loads, (x, y) = loaded(comm, f"{on_disk}", tmp_path if on_disk else None)
    assert loads == 1
    np.testing.assert_array_equal(x, np.arange(20.0).reshape(10, 2))
    regression(comm).fit(x, y, batch_size=4, verbose=0)


def test_a_rank_may_come_whenever_it_likes(comm: Communicator) -> None:
    order = reversed(range(comm.size))
    kept = []
    for rank in order:  # one at a time, from the last
        if rank == comm.rank:
            kept.append(data.node_shared(lambda: np.full(3, float(comm.rank)), name="in turn"))
        comm.barrier()
    assert kept[0].tolist() == [comm.size - 1.0] * 3


def test_all_ranks_get_the_digits(comm: Communicator) -> None:
    (x, y), _ = digits.load_data()
    sums = comm.all_gather_object((int(x.sum()), int(y.sum())))
    assert len(set(sums)) == 1
