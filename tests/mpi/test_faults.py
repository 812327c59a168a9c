"""Promise 4: an error of some ranks, anywhere, is the same clear error on all; and then they can train on."""

from pathlib import Path
from typing import Any

import pytest
from support import faulty

from distfit import RemoteError, callbacks
from distfit.comm import Communicator

FAILING = {2: {1}, 3: {0}, 4: {1, 2}}  # the last rank, root, two at once; by number of ranks


class Strikes:
    """Raises on some ranks when a place is passed for the second time: in the midst of the work."""

    def __init__(self, place: str, here: bool, error: type[BaseException], *details: Any) -> None:
        self.place, self.here, self.error, self.details = place, here, error, details
        self.visits = 0

    def __call__(self, place: str) -> None:
        self.visits += place == self.place
        if self.here and place == self.place and self.visits == 2:
            raise self.error(*self.details)


def run(model: faulty.Model, place: str, folder: Path) -> tuple[Any, list[bytes]]:
    """Train twice; what is called once in a training is called twice in it."""
    saving = callbacks.ModelCheckpoint(folder / "{epoch}.weights.safetensors")
    histories = [faulty.train(model, place, *faulty.rows(), [saving]).history for _ in range(2)]
    return histories, [weight.tobytes() for weight in model.get_weights()]


def check(
    comm: Communicator, place: str, failing: set[int], error: type[BaseException], folder: Path
) -> None:
    model = faulty.model(comm)
    start = model.get_weights()
    undisturbed = run(model, place, folder)
    model.set_weights(start)
    here = comm.rank in failing
    with pytest.raises(error) as caught, faulty.watched(Strikes(place, here, error, 3)):
        run(model, place, folder)
    assert isinstance(caught.value, RemoteError) == (not here)
    if not here:
        assert caught.value.ranks == tuple(sorted(failing))
        assert all(f"raised on rank {rank} " in str(caught.value) for rank in failing)
        assert "test_faults.py" in caught.value.remote_traceback
    assert list(folder.rglob(".*")) == []  # nothing unfinished
    model.set_weights(start)
    assert run(model, place, folder) == undisturbed


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("place", faulty.WORK)
def test_in_the_work(comm: Communicator, place: str, tmp_path: Path) -> None:
    check(comm, place, FAILING[comm.size], ValueError, tmp_path)


@pytest.mark.ranks(3)
@pytest.mark.parametrize("hook", faulty.HOOKS)
def test_in_a_hook_on_all_ranks(comm: Communicator, hook: str, tmp_path: Path) -> None:
    check(comm, hook, {comm.size - 1}, ValueError, tmp_path)


@pytest.mark.ranks(2)
@pytest.mark.parametrize("place", [*(f"root {hook}" for hook in faulty.HOOKS), "checkpoint write"])
def test_on_root_alone(comm: Communicator, place: str, tmp_path: Path) -> None:
    check(comm, place, {0}, OSError, tmp_path)


@pytest.mark.ranks(3)
@pytest.mark.parametrize("error", [ValueError, OSError, SystemExit, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("place", ["iterable", "loss", "optimizer update", "on_epoch_end", "on_predict_end"])
def test_each_kind_is_caught_on_all_ranks(
    comm: Communicator, place: str, error: type[BaseException], tmp_path: Path
) -> None:
    check(comm, place, {1}, error, tmp_path)
