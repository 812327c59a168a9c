"""Which way of updating a model has: what its engine, its optimizer and this machine allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distfit.optimizers import Optimizer
from distfit.training.node_sums import share_gradients
from distfit.training.node_update import share_weights
from distfit.training.update import Alone, Everywhere, Update
from distfit.utils.heap import give_back_freed_memory

if TYPE_CHECKING:
    from distfit.training.model import Model


def choose_update(model: Model) -> Update:
    """Return how a model is updated from here on, with its arrays in memory that the ranks of a machine share if so.

    Ranks: every rank, directly after root's copy of everything has reached them; the messages of what is chosen.
    """
    if model.comm.is_alone:
        return Alone(model)
    if not (model.engine.common and model.compiled.share_memory):
        return Everywhere(model)
    share = share_weights if isinstance(model.optimizer, Optimizer) else share_gradients
    update = share(model)
    give_back_freed_memory()  # the arrays from which they were moved
    return update or Everywhere(model)
