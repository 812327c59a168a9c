"""The fixture on which all tests of several ranks stand."""

import pytest

from distfit.comm import Communicator


def test_runs_at_each_size(comm: Communicator) -> None:
    assert comm.all_gather_object(comm.rank) == list(range(comm.size))


@pytest.mark.ranks(3)
def test_runs_at_the_sizes_it_names(comm: Communicator) -> None:
    assert comm.size == 3
