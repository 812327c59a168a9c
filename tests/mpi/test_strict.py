"""Strict mode: collectives from different lines do not match, though their arrays do."""

import numpy as np
import pytest

from distfit.comm import Communicator
from distfit.errors import RanksDiverged


@pytest.fixture
def _strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTFIT_STRICT", "1")


def sum_losses_or_gradients(comm: Communicator) -> np.ndarray:
    array = np.ones(3)
    if comm.is_root:
        comm.all_reduce(array)  # the losses
    else:
        comm.all_reduce(array)  # the gradients
    return array


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.usefixtures("_strict")
def test_equal_calls_in_different_lines_raise_and_name_them(comm: Communicator) -> None:
    with pytest.raises(RanksDiverged) as caught:
        sum_losses_or_gradients(comm)
    first, second = (
        line for line in str(caught.value).splitlines() if "test_strict.py" in line and line[9] in "01"
    )
    assert first.startswith("    rank 0 calls all_reduce(float64[3], sum), at ")
    assert second.startswith("    rank 1 calls all_reduce(float64[3], sum), at ")
    assert int(second.rpartition(":")[2]) == int(first.rpartition(":")[2]) + 2
    comm.barrier()  # and the group is as good as before


@pytest.mark.ranks(2, 3)
def test_without_it_they_match(comm: Communicator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTFIT_STRICT", "0")
    assert sum_losses_or_gradients(comm).tolist() == [comm.size] * 3


@pytest.mark.usefixtures("_strict")
def test_one_line_for_all_ranks_is_right(comm: Communicator) -> None:
    for _ in range(2):
        comm.barrier()
        assert comm.all_gather(np.full((1, 2), comm.rank)).shape == (comm.size, 2)
        assert comm.broadcast_object(comm.rank) == 0


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("shape", [(3,), (2, 2), (4,)])
def test_shape_and_type_are_compared_always(comm: Communicator, shape: tuple[int, ...]) -> None:
    here = np.zeros((2, 2), np.float32) if comm.is_root else np.zeros(shape, np.float64)
    with pytest.raises(
        RanksDiverged, match=r"(?s)rank 0 calls broadcast\(float32\[2, 2\], root=0\).*rank 1 calls"
    ):
        comm.broadcast(here)
    comm.barrier()
