"""Strict mode: what stands in different lines does not match, though it is the same."""

import numpy as np
import pytest

from distfit import Sequential, layers
from distfit.comm import Communicator
from distfit.errors import RanksDiverged


@pytest.fixture
def _strict(comm: Communicator | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``DISTFIT_STRICT=1`` does to a group that is made with it."""
    if comm is not None:  # a rank that sits a test out has no group
        monkeypatch.setattr(comm.agreement, "is_strict", True)


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
def test_without_it_they_match(comm: Communicator) -> None:
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


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("value", ["", "0", "1"])
def test_a_group_reads_the_environment_when_it_is_made(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("DISTFIT_STRICT", value)
    group = comm.split(0)
    assert group is not None
    if value == "1":
        with pytest.raises(RanksDiverged):
            sum_losses_or_gradients(group)
    else:
        sum_losses_or_gradients(group)
    group.close()


def compiled(comm: Communicator) -> Sequential:
    model = Sequential(
        [layers.Dense(4, input_shape=(2,)), layers.BatchNormalization(), layers.Dense(1)], comm=comm
    )
    model.compile(optimizer="sgd", loss="mse")
    return model


@pytest.mark.usefixtures("_strict")
def test_a_whole_training_is_right_though_ranks_have_no_rows(comm: Communicator) -> None:
    model = compiled(comm)
    history = model.fit(
        np.ones((5, 2)), np.ones((5, 1)), batch_size=3, epochs=2, validation_split=0.2, verbose=0
    )
    assert len(history.history["val_loss"]) == 2


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.usefixtures("_strict")
@pytest.mark.parametrize("rows", [12, 1])
def test_steps_of_a_loop_of_ones_own_from_different_lines(comm: Communicator, rows: int) -> None:
    model = compiled(comm)
    mine = rows // comm.size + (comm.rank < rows % comm.size)  # with one row, all ranks but root have none
    batch = np.ones((mine, 2)), np.ones((mine, 1))
    with pytest.raises(RanksDiverged, match=r"test_strict\.py:\d+"):
        if comm.rank == comm.size - 1:
            model.train_step(batch)  # of the first data set
        else:
            model.train_step(batch)  # of the second
    comm.barrier()


@pytest.mark.ranks(2, 3)
@pytest.mark.usefixtures("_strict")
def test_evaluations_from_different_lines(comm: Communicator) -> None:
    model, x, y = compiled(comm), np.ones((4, 2)), np.ones((4, 1))
    with pytest.raises(RanksDiverged, match=r"rank 1 begins evaluate, at .*test_strict\.py:\d+"):
        if comm.is_root:
            model.evaluate(x, y, verbose=0)
        else:
            model.evaluate(x, y, verbose=0)
    comm.barrier()
