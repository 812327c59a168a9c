"""The sums of gradients over the ranks of a machine, of which each rank makes a part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from distfit.comm.node_memory import NodeMemory
from distfit.training.node_products import NodeProducts
from distfit.training.update import add_to

if TYPE_CHECKING:
    from distfit.training.model import Model


class MachineSums:
    """Adds the gradients of a machine's ranks up at the places of one of them, in its own buffer or in its cache.

    Args:
        model: what is trained.
        memory: of the machine, with each rank's gradients.

    Attributes:
        own: this rank's gradients, and where it added up the sums.
        products: gradients that the ranks compute together.

    Ranks: local, behind an agreement behind which no rank writes gradients.
    """

    def __init__(self, model: Model, memory: NodeMemory) -> None:
        rank = model.comm.local_rank
        self.own = memory.gradients[rank]
        self.products = NodeProducts(model)
        self._by_rank = {number: one for number, one in enumerate(memory.gradients) if number != rank}
        self._peers = list(self._by_rank.values())
        self._scratch = np.empty(model.optimizer.chunk_size, self.own.dtype)

    def add_up(self, places: Sequence[slice]) -> None:
        """Write the sums at some places, of which no other rank writes them, to this rank's buffer."""
        for place in places:
            self.products.add_up(self.own, self._by_rank, place)

    def gather(self, place: slice) -> np.ndarray:
        """Return the sums at a place of a chunk's length, in an array that stays in the cache; not of `products`."""
        return add_to(self._scratch[: place.stop - place.start], self.own[place], self._peers, place)
