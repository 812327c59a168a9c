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

from distfit.comm.exchange import Exchange
from distfit.training.sums_in_pieces import SumsInPieces, cut
from distfit.training.update import Everywhere, is_plain

if TYPE_CHECKING:
    from distfit.training.model import Model


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
        self._sums = SumsInPieces(exchange, cut(slice(0, model.engine.common or 0)))
        self._is_one_pass = self._is_agreed = False

    def begin_sums(self) -> None:
        self._sums.open(self._model.engine.gradients)
        self._is_agreed = False

    def begin_sum_from(self, start: int) -> None:
        self._sums.begin_from(start)

    def bind(self) -> None:
        if not self._sums.are_open:  # gradients that were accumulated, and are left at the end of an epoch
            self._sums.open(self._model.engine.gradients)
        self._is_agreed = True

    def abandon(self, error: BaseException) -> None:
        if self._sums.are_open and not self._is_agreed:
            self._sums.begin_from(0)  # and waits for nothing yet
            # Others may be in a small message still, before they have begun all sums: not before they have heard.
            self._model.comm.agreement.tell(error)
        self.finish()  # behind the agreement on the step the others wait for the sums first, too

    def complete(self) -> None:
        self._sums.complete()

    def finish(self) -> None:
        self._sums.close()

    def reduce(self) -> None:
        engine, optimizer = self._model.engine, self._model.optimizer
        self._sums.begin_from(0)
        self._is_one_pass = is_plain(optimizer) and optimizer.is_one_pass and not engine.reads_whole_weights
        if not self._is_one_pass:
            self._sums.complete()

    def apply(self, weight: float) -> None:
        engine, optimizer = self._model.engine, self._model.optimizer
        if not self._is_one_pass:
            engine.update(weight)
            return
        gather = self._sums.finished_by(engine, weight)
        optimizer.apply(engine.parameters, engine.gradients, engine.finish_sum(weight, []), gather=gather)
