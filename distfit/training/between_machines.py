"""How the sums over a rank's machine become those over all machines, and who updates which weights by them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from distfit.comm import Communicator
from distfit.comm.compression import COMPRESSIONS
from distfit.comm.nodes import Counterparts
from distfit.optimizers import Part
from distfit.training.machine_sums import MachineSums
from distfit.training.sums_in_pieces import SumsInPieces, cut

if TYPE_CHECKING:
    from distfit.training.model import Model

Gather = Callable[[slice], np.ndarray]


class BetweenMachines(ABC):
    """What a rank does about the other machines.

    Args:
        model: what is trained.
        sums: over this machine.

    Attributes:
        summed: of which places this rank makes the sums over its machine.
        part: what this rank updates.
        places: where that lies.
        has_whole_state: whether each machine holds all of the optimizer's state.

    Ranks: every rank calls each method, in the order in which they stand here.
    """

    summed: list[slice]
    part: Part
    places: list[slice]
    has_whole_state: ClassVar[bool] = True

    def __init__(self, model: Model, sums: MachineSums) -> None:
        self._model = model
        self._sums = sums
        self._is_on_roots = model.comm.node_ranks[0] == 0

    def divide(self, part: Part) -> None:
        """Be told of which part of the weights this rank makes the sums over its machine.

        Ranks: local; an agreement follows.
        """
        self.summed = part.places()
        self.part = self._updated(part)
        self.places = self.part.places()

    def _updated(self, part: Part) -> Part:
        """Return what this rank updates, of what it sums."""
        return part

    @property
    def counts_in_norm(self) -> bool:
        """Whether this rank's part counts in a norm for which all ranks add up theirs: each weight once."""
        return self._is_on_roots  # that machine has all parts, and others have them once more

    @property
    def _is_looked_at(self) -> bool:
        """Whether gradients are looked at before they are used."""
        return self._model.compiled.on_nan != "ignore"

    def bind(self) -> None:  # noqa: B027 - most begin nothing that an agreement does not precede directly
        """As `Update.bind`."""

    @abstractmethod
    def reduce(self) -> None:
        """Make the sums, or begin to.

        Ranks: directly behind the agreement on a step.
        """

    @abstractmethod
    def begin_update(self, weight: float) -> tuple[float, Gather | None]:
        """Return what the sums are to be divided by, and what returns them at a place, if not this rank's buffer.

        Ranks: local.
        """

    def send_weights(self, weights: np.ndarray) -> None:  # noqa: B027 - most machines update all weights themselves
        """Let all machines have the weights that this rank has updated.

        Ranks: every rank, behind its part of the update.
        """

    def abandon(self, error: BaseException) -> None:  # noqa: B027 - most have nothing under way
        """As `Update.abandon`."""

    def finish(self) -> None:  # noqa: B027 - most have nothing under way
        """As `Update.finish`."""

    def lacks_state(self, *, everywhere: bool) -> bool:  # noqa: ARG002 - most machines hold all of it
        """Say whether root's machine lacks some of the state, or any machine does; alike on all ranks."""
        return False

    def collect_state(self, *, everywhere: bool) -> None:  # noqa: B027 - most machines hold all of it
        """Bring the state together on root's machine, or on all.

        Ranks: every rank, where it is lacking; two small messages and the state.
        """

    def broadcast_state(self, comm: Communicator) -> None:  # noqa: B027 - only where machines hold parts of it
        """Continue from root's state, where not each machine holds all of it.

        Ranks: every rank of `comm`, directly after an agreement; the state.
        """


class OneMachine(BetweenMachines):
    """There is no other machine. Sums need not be written where they are used once."""

    def reduce(self) -> None:
        is_one_pass = self._model.optimizer.is_one_pass
        self._are_written = self._sums.products.are_used or self._is_looked_at or not is_one_pass
        if self._are_written:
            # Where this rank fails, the others change their parts of the weights, unless they agree on something first.
            self._model.progress.torn = not self._is_looked_at
            self._sums.add_up(self.places)
            self._model.progress.torn = False

    def begin_update(self, weight: float) -> tuple[float, Gather | None]:
        divisor = self._model.engine.finish_sum(weight, self.places)
        return divisor, None if self._are_written else self._sums.gather


class Replicated(BetweenMachines):
    """Each machine gets all sums and updates all of its weights: the ranks with the same part reduce it.

    The sum of a piece between machines begins when this machine's is there, and is on its way while the machine's sums
    of other pieces are made, and others are updated.

    Why that cannot deadlock: from the agreement on the step on, each rank is bound to begin the sums of all its pieces,
    whatever happens. Behind it all come to one message before any of them waits for a sum. A rank that fails before
    that begins what is left with what happens to be there, tells the others in whichever message they come to, and then
    waits, as they do when they have heard. One that fails later waits first, as they all do, and tells them then: a sum
    may take a second transfer, which begins on ranks that wait for it, and on none that is in a message.

    Args:
        model: what is trained.
        sums: over this machine.
        counterparts: the ranks of other machines that have the same part.

    Ranks: one small message, and a reduction of a rank's part.
    """

    def __init__(self, model: Model, sums: MachineSums, counterparts: Counterparts) -> None:
        super().__init__(model, sums)
        self._exchange = COMPRESSIONS[model.compiled.compression](counterparts.transport)
        self._overlaps = model.compiled.overlap
        self._is_before_message = False

    def divide(self, part: Part) -> None:
        super().divide(part)
        end = self._sums.products.end_of_row
        pieces = [piece for place in self.places for piece in cut(place, end)]
        self._pieces = SumsInPieces(self._exchange, pieces if self._overlaps else self.places)

    def bind(self) -> None:
        if self._overlaps:
            self._pieces.open(self._sums.own)
            self._is_before_message = True

    def reduce(self) -> None:
        model = self._model
        for piece in reversed(self._pieces.pieces):
            self._sums.add_up([piece])
            if self._overlaps:
                self._pieces.begin_from(piece.start)
        # Nothing that could fail may lie directly before a reduction, and none may change a weight before all are here.
        model.comm.reach("the sums of each machine")
        self._is_before_message = False
        if not self._overlaps:
            self._exchange.all_reduce([self._sums.own[place] for place in self.places])
        elif self._is_looked_at or model.engine.reads_whole_weights or not model.optimizer.is_one_pass:
            self._pieces.close()  # all are needed before the first is used

    def begin_update(self, weight: float) -> tuple[float, Gather | None]:
        engine = self._model.engine
        if not self._pieces.are_open:
            return engine.finish_sum(weight, self.places), None
        return engine.finish_sum(weight, []), self._pieces.finished_by(engine, weight)

    def abandon(self, error: BaseException) -> None:
        if self._pieces.are_open and self._is_before_message:
            self._pieces.begin_from(0)
            self._model.comm.agreement.tell(error)
        self._pieces.close()

    def finish(self) -> None:
        self._pieces.close()
