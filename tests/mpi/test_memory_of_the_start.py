"""Before ranks of a machine share memory, each has arrays of its own: what all of them have alike, none is sent."""

from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit import Sequential, optimizers
from distfit.comm import Communicator
from distfit.comm.mpi import MpiTransport


@pytest.mark.ranks(2, 3)
def test_new_moments_are_not_sent(comm: Communicator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor written, so that they take no memory yet."""
    sent: list[int] = []
    broadcast = MpiTransport.broadcast
    monkeypatch.setattr(
        MpiTransport,
        "broadcast",
        lambda self, array, *root: sent.append(array.size) or broadcast(self, array, *root),
    )
    model = regression(comm, optimizer="adam")
    size = model.engine.parameters.size
    model.fit(*line(), batch_size=5, verbose=0)
    assert sent.count(size) == 1  # the weights


def with_momentum(comm: Communicator, *, trained: bool = False) -> Sequential:
    model = regression(comm, optimizer=optimizers.SGD(0.1, momentum=0.9))
    if trained:
        model.fit(*line(), batch_size=5, verbose=0)
    return model


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("in_fit", [True, False])
def test_a_state_that_root_alone_restores_is_everybodys(comm: Communicator, in_fit: bool) -> None:
    """Also one that was saved before the first update, of which no count tells."""
    alone, model = with_momentum(Communicator.alone()), with_momentum(comm)
    state = {name: np.full_like(array, 0.5) for name, array in model.optimizer.state().items()}
    scalars = model.optimizer.scalars()
    for one in [alone, *([model] if comm.is_root else [])]:
        one.optimizer.restore(state, scalars)
    assert_trained_alike(comm, alone, model, in_fit=in_fit)


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("in_fit", [True, False])
def test_an_optimizer_that_another_rank_has_used_begins_anew(comm: Communicator, in_fit: bool) -> None:
    alone, model = with_momentum(Communicator.alone()), with_momentum(comm)
    if comm.rank == 1:
        used = with_momentum(Communicator.alone(), trained=True)
        arrays = {name: array.copy() for name, array in used.optimizer.state().items()}
        model.optimizer.restore(arrays, used.optimizer.scalars())
    assert_trained_alike(comm, alone, model, in_fit=in_fit)


def assert_trained_alike(comm: Communicator, alone: Any, model: Any, *, in_fit: bool) -> None:
    """Compare weights and momenta with those of one rank, behind `fit` or steps of a loop of one's own."""
    x, y = line(2 * comm.size)
    for one in (alone, model):
        if in_fit:
            one.fit(x, y, batch_size=comm.size, shuffle=False, verbose=0)
        else:
            rows = slice(one.comm.rank, None, one.comm.size)
            for half in (slice(0, comm.size), slice(comm.size, None)):
                one.train_step((x[half][rows], y[half][rows]))
    for expected, found in zip(alone.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    expected, found = alone.optimizer.state(), model.optimizer.state()
    for name, array in expected.items():
        size = model.engine.parameters.size
        np.testing.assert_allclose(found[name][:size], array[:size], rtol=1e-4, atol=1e-5)
