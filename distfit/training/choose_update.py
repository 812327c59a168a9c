"""Which way of updating a model has: what its engine, its optimizer and this machine allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from distfit.comm.compression import COMPRESSIONS
from distfit.comm.nodes import counterparts
from distfit.training.node_sums import share_gradients
from distfit.training.node_update import share_weights
from distfit.training.overlapped import Overlapped
from distfit.training.update import Alone, Everywhere, Update, is_plain
from distfit.utils.heap import give_back_freed_memory

if TYPE_CHECKING:
    from distfit.training.model import Model


def choose_update(model: Model) -> Update:
    """Return how a model is updated from here on, with its arrays in memory that the ranks of a machine share if so.

    Raises:
        ValueError: if other numbers than float32 are to be compressed.

    Ranks: every rank, directly after root's copy of everything has reached them; the messages of what is chosen.
    """
    dtype = model.engine.gradients.dtype
    if model.compiled.compression is not None and dtype != np.float32:
        raise ValueError(f"compression takes float32 weights. Received: {dtype}. Leave it out of compile")
    if model.compiled.shard_optimizer and model.engine.common is None:
        raise ValueError(
            "shard_optimizer=True takes a model whose weights can lie in memory that ranks share: one of distfit's"
            f" layers, or a module of PyTorch on the CPU. Received: {type(model.engine).__name__}. Leave it out of"
            " compile"
        )
    if model.comm.is_alone:
        return Alone(model)
    update: Update | None = None
    if model.engine.common and model.compiled.share_memory:
        share = share_weights if is_plain(model.optimizer) else share_gradients
        update = share(model)
        give_back_freed_memory()  # the arrays from which they were moved
    return update or _everywhere(model)


def _everywhere(model: Model) -> Update:
    """Return an update that each rank makes as a whole, of sums that cross machines behind backward or beside it."""
    compiled, comm = model.compiled, model.comm
    if counterparts(comm).alone:
        return Everywhere(model)
    exchange = COMPRESSIONS[compiled.compression](comm.transport)
    update: Update
    if compiled.overlap and _can_overlap(model):
        update = Overlapped(model, exchange)
    else:
        exchange.prepare([model.engine.gradients.size])
        update = Everywhere(model, exchange)
    comm.reach("room for the sums of gradients")
    comm.transport.prepare_to_begin()
    return update


def _can_overlap(model: Model) -> bool:
    """Say whether sums may begin during backward: not where the user has a hand in it, or looks at numbers first."""
    return (
        not model.has_own_compute_gradients
        and model.engine.tells_of_gradients
        and bool(model.engine.common)
        and model.compiled.on_nan == "ignore"
    )
