"""The agreement: an error, an interrupt or a long message on some ranks, and what all of them then know."""

import os
import signal
from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit import errors
from distfit.callbacks import Callback
from distfit.comm import CAPACITY, Communicator, Phase


@pytest.mark.parametrize("length", [0, 1, CAPACITY, CAPACITY + 1, 5 * CAPACITY])
def test_payloads_are_summed_whatever_their_length(comm: Communicator, length: int) -> None:
    payload = np.arange(length, dtype=np.float64) + comm.rank
    agreed = comm.agreement.agree(Phase.STEP, payload)
    expected = comm.size * np.arange(length) + sum(range(comm.size))
    np.testing.assert_array_equal(agreed.sums, expected)
    assert agreed.phase is Phase.STEP


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("length", [3, CAPACITY + 1])
def test_a_passive_rank_takes_what_the_others_bring(comm: Communicator, length: int) -> None:
    if comm.is_root:
        agreed = comm.agreement.agree(None)
    else:
        agreed = comm.agreement.agree(Phase.FORWARD_SUMS, np.ones(length), key=7, has_next=True)
    np.testing.assert_array_equal(agreed.sums, np.full(length, comm.size - 1.0))
    assert (agreed.phase, agreed.key, agreed.has_next) == (Phase.FORWARD_SUMS, 7, comm.size - 1)


def test_all_ranks_may_be_passive(comm: Communicator) -> None:
    agreed = comm.agreement.agree(None, stop=comm.rank == comm.size - 1)
    assert (agreed.phase, agreed.sums.size, agreed.stop) == (None, 0, True)


def test_a_message_leaves_nothing_behind_for_the_next(comm: Communicator) -> None:
    comm.agreement.agree(Phase.STEP, np.full(CAPACITY, 9.0), has_next=True, stop=True)
    agreed = comm.agreement.agree(Phase.STEP, np.zeros(3))
    assert (agreed.sums.tolist(), agreed.has_next, agreed.stop) == ([0.0, 0.0, 0.0], 0, False)


@pytest.mark.ranks(3, 4)
def test_two_ranks_that_fail_are_both_named(comm: Communicator) -> None:
    with pytest.raises((KeyError, ValueError)) as caught, comm.operation("work"):
        if comm.rank == 1:
            raise KeyError("one")
        if comm.rank == 2:
            raise ValueError("two")
    if comm.rank in {1, 2}:
        assert not isinstance(caught.value, errors.RemoteError)
    else:
        assert isinstance(caught.value, errors.RemoteError)
        assert caught.value.ranks == (1, 2)
        assert "raised on rank 1" in str(caught.value)
        assert "raised on rank 2" in str(caught.value)
        assert "test_agreement.py" in caught.value.remote_traceback
    comm.barrier()


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize(
    ("here", "there"),
    [
        ((Phase.STEP, 0, 3), (Phase.POINT, 0, 3)),
        ((Phase.FORWARD_SUMS, 1, 3), (Phase.FORWARD_SUMS, 2, 3)),
        ((Phase.STEP, 0, 3), (Phase.STEP, 0, 4)),
    ],
)
def test_ranks_in_different_places_raise(comm: Communicator, here: Any, there: Any) -> None:
    phase, key, length = there if comm.rank == comm.size - 1 else here
    with pytest.raises(errors.RanksDiverged, match=r"(?s)rank 0 .*rank 1 "):
        comm.agreement.agree(phase, np.zeros(length), key=key)
    comm.barrier()


@pytest.mark.ranks(2, 3, 4)
def test_an_error_of_a_smaller_group_is_one_of_the_larger_group_too(comm: Communicator) -> None:
    """All ranks of the inner group know of it; those outside do not."""
    inner = comm.split(0 if comm.rank < comm.size - 1 else None)
    with pytest.raises(OSError, match="disk"), comm.operation("outer"):
        if inner is not None:
            with inner.operation("inner"):
                if inner.is_root:
                    raise OSError("disk")
    comm.barrier()
    if inner is not None:
        inner.close()


def test_an_error_in_an_evaluation_by_root_alone_reaches_all(comm: Communicator) -> None:
    class Look(Callback):
        ranks = "root"

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.evaluate(np.ones((4, 3)), np.ones((4, 1)), verbose=0)

    with pytest.raises(ValueError, match="takes rows of shape"):
        regression(comm).fit(*line(), callbacks=[Look()], verbose=0)
    comm.barrier()


class Send(Callback):
    """Sends this process a signal in the second batch, on one rank."""

    def __init__(self, comm: Communicator, number: int, rank: int) -> None:
        self.batches: list[int] = []
        self.ended = False
        self._here, self._number = comm.rank == rank, number

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batches.append(batch)
        if batch == 1 and self._here:
            os.kill(os.getpid(), self._number)

    def on_train_end(self, logs: Any = None) -> None:
        self.ended = True


@pytest.mark.parametrize("last", [False, True])
def test_an_interrupt_of_one_rank_is_a_keyboard_interrupt_on_all(comm: Communicator, last: bool) -> None:
    before = signal.getsignal(signal.SIGINT)
    send = Send(comm, signal.SIGINT, comm.size - 1 if last else 0)
    with pytest.raises(KeyboardInterrupt):
        regression(comm).fit(*line(), batch_size=2, callbacks=[send], verbose=0)
    assert send.batches == [0, 1]
    assert not send.ended
    assert signal.getsignal(signal.SIGINT) is before
    comm.barrier()


def test_sigusr1_to_one_rank_stops_all_in_order_at_the_same_step(comm: Communicator) -> None:
    send = Send(comm, signal.SIGUSR1, comm.size - 1)
    model = regression(comm)
    model.fit(*line(), batch_size=2, epochs=4, callbacks=[send], verbose=0)
    assert send.ended
    assert model.history.epoch == [0]
    assert all(batches == send.batches for batches in comm.all_gather_object(send.batches))
    assert len(send.batches) < 5
    model.fit(*line(), batch_size=2, epochs=2, verbose=0)  # the wish was for that call alone
    assert model.history.epoch == [0, 1]


@pytest.mark.ranks(2, 3, 4)
def test_what_cannot_be_sent_is_an_error_before_anyone_waits(comm: Communicator) -> None:
    with pytest.raises(TypeError, match="a generator cannot be sent to other ranks"), comm.operation("work"):
        comm.all_gather_object((i for i in ()) if comm.is_root else 1)
    comm.barrier()


def test_collectives_for_users(comm: Communicator) -> None:
    rows = np.full((comm.rank, 2), float(comm.rank))  # root has none
    expected = np.repeat(np.arange(comm.size), np.arange(comm.size))
    np.testing.assert_array_equal(comm.all_gather(rows), np.stack([expected, expected], axis=1))
    assert comm.broadcast_object({"from": comm.rank}, root=comm.size - 1) == {"from": comm.size - 1}
    for reduction, result in (("sum", sum(range(comm.size))), ("min", 0), ("max", comm.size - 1)):
        buffer = np.array([comm.rank, comm.rank], np.int64)
        comm.all_reduce(buffer, reduction)
        assert buffer.tolist() == [result, result]
    buffer = np.array([float(comm.rank)])
    comm.broadcast(buffer, root=comm.size - 1)
    assert buffer.tolist() == [comm.size - 1.0]
    with pytest.raises(ValueError, match="contiguous"):
        comm.all_reduce(np.zeros((4, 4))[:, 0])
    assert (comm.local_rank, comm.local_size) == (comm.rank, comm.size)  # one machine
