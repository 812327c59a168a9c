"""Gradients that are summed while the rest of them is still computed.

Backward finishes the last layer's gradients first. They are cut into pieces, and the sum of a piece begins as soon as
its gradients are final; while the network carries them, backward computes those in front of them, and the optimizer
changes the weights of pieces that have arrived while others are still on their way (as PyTorch's
DistributedDataParallel does the first half of it: Li et al., 2020).

Why this cannot deadlock, though sums begin where no agreement lies directly before them: all ranks agree that they are
about to compute gradients. From there on each of them is bound to begin all sums, in one order, whatever happens. A
rank without rows does so at once, with zeros. One whose backward fails begins the rest with what happens to be there,
then tells the others, and then waits for the sums, as they all do when they hear of it. Behind the agreement on the
step all wait first, and what failed is told in the message that follows. So no rank is in a message while another waits
for a sum, or for the second transfer of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from distfit.comm.exchange import Exchange
from distfit.training.update import Everywhere, is_plain

if TYPE_CHECKING:
    from distfit.training.model import Model

_PIECE = 262_144  # elements: long enough for what MPI does for each sum not to count


class Overlapped(Everywhere):
    """Each rank makes the whole update, as `Everywhere` does; sums begin during backward, and end during the update.

    Args:
        model: what is trained; its engine tells which gradients are final.
        exchange: sums pieces of the gradients.

    Ranks: the sums of all pieces, behind one small message before backward.
    """

    overlaps = True

    def __init__(self, model: Model, exchange: Exchange) -> None:
        super().__init__(model, exchange)
        self._sums = exchange
        size = model.engine.common or 0
        self._pieces = [slice(start, min(start + _PIECE, size)) for start in range(0, size, _PIECE)]
        exchange.prepare([piece.stop - piece.start for piece in self._pieces])
        self._first = len(self._pieces)  # of the pieces whose sums have begun
        self._is_open = False
        self._is_one_pass = False

    def begin_sums(self) -> None:
        self._first = len(self._pieces)
        self._gradients = self._model.engine.gradients
        self._is_open = True

    def begin_sum_from(self, start: int) -> None:
        while self._first > 0 and self._pieces[self._first - 1].start >= start:
            self._sums.begin(self._first - 1, self._gradients[self._pieces[self._first - 1]])
            self._first -= 1
        self._sums.advance()

    def abandon(self, error: BaseException) -> None:
        if not self._is_open:
            return
        self.begin_sum_from(0)  # and waits for nothing yet
        # Others may be in a small message still, before they have begun all sums: not before they have heard of it.
        self._model.comm.agreement.tell(error)
        self.finish()

    def complete(self) -> None:
        if self._is_open:
            self.begin_sum_from(0)
            self._sums.wait(0)  # which began last

    def finish(self) -> None:
        self.complete()
        self._is_open = False

    def reduce(self) -> None:
        engine, optimizer = self._model.engine, self._model.optimizer
        if not self._is_open:  # gradients that were accumulated, and are left at the end of an epoch
            self._sums.all_reduce([engine.gradients[piece] for piece in self._pieces])
            self._first = 0
        self.begin_sum_from(0)
        self._is_one_pass = is_plain(optimizer) and optimizer.is_one_pass and not engine.reads_whole_weights
        if not self._is_one_pass:
            self.complete()

    def apply(self, weight: float) -> None:
        engine, optimizer = self._model.engine, self._model.optimizer
        if not self._is_one_pass:
            engine.update(weight)
            return
        divisor = engine.finish_sum(weight, [])

        def gather(place: slice) -> np.ndarray:
            self._sums.advance()
            # A place may reach into further pieces, but those lie behind, and began before: they have arrived, too.
            self._sums.wait(place.start // _PIECE)
            engine.finish_sum(weight, [place])
            return engine.gradients[place]

        optimizer.apply(engine.parameters, engine.gradients, divisor, gather=gather)
