"""Where a callback of Keras's runs: on root, on all ranks if somebody says so, or where it alone is."""

import keras
import pytest
from support.foreign import assert_equal_on_all_ranks, fit

from distfit import callbacks
from distfit.comm import Communicator

pytestmark = pytest.mark.ranks(2)


def test_all_ranks_may_have_one(comm: Communicator) -> None:
    """`on_root` and its like place what has no word about ranks of its own."""
    history = keras.callbacks.History()
    outcome = fit(comm, [callbacks.on_all(history)], epochs=2)
    assert history.history == outcome.history


def test_root_alone_may_have_one(comm: Communicator) -> None:
    stopping = [keras.callbacks.EarlyStopping("loss", min_delta=10.0)] if comm.is_root else []
    outcome = fit(comm, stopping)
    assert_equal_on_all_ranks(comm, outcome)
    assert len(outcome.history["loss"]) == 2
