"""Which way of updating a model has: what its engine, its optimizer and this machine allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from distfit.comm.exchange import COMPRESSIONS, Exchange
from distfit.comm.nodes import counterparts
from distfit.optimizers import Optimizer
from distfit.training.node_sums import share_gradients
from distfit.training.node_update import share_weights
from distfit.training.update import Alone, Everywhere, Update
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
    if model.comm.is_alone:
        return Alone(model)
    update: Update | None = None
    if model.engine.common and model.compiled.share_memory:
        share = share_weights if isinstance(model.optimizer, Optimizer) else share_gradients
        update = share(model)
        give_back_freed_memory()  # the arrays from which they were moved
    return update or Everywhere(model, _exchange(model))


def _exchange(model: Model) -> Exchange | None:
    """Return what compresses gradients if `compile` asks for it, and there are several machines."""
    compression = model.compiled.compression
    if compression is None or counterparts(model.comm).alone:
        return None
    exchange = COMPRESSIONS[compression](model.comm.transport)
    exchange.prepare([model.engine.gradients.size])
    return exchange
