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
        part: what this rank updates.
        places: where that lies.
        counts_in_norm: whether this rank's part counts in a norm for which all ranks add up theirs: each weight once.

    Ranks: every rank calls each method, in the order in which they stand here.
    """

    part: Part
    places: list[slice]

    def __init__(self, model: Model, sums: MachineSums) -> None:
        self._model = model
        self._sums = sums
        # Root's machine has all parts, and others have them once more.
        self.counts_in_norm = model.comm.node_ranks[0] == 0

    def divide(self, part: Part) -> None:
        """Be told of which part of the weights this rank makes the sums over its machine.

        Ranks: local; an agreement follows.
        """
        self.part = part
        self.places = part.places()

    @property
    def _is_looked_at(self) -> bool:
        """Whether gradients are looked at before they are used."""
        return self._model.compiled.on_nan != "ignore"

    @abstractmethod
    def reduce(self) -> None:
        """Make the sums, or begin to.

        Ranks: directly behind the agreement on a step.
        """

    @abstractmethod
    def sums(self, weight: float) -> tuple[float, Gather | None]:
        """Return what the sums are to be divided by, and what returns them at a place, if not this rank's buffer.

        Ranks: local.
        """

    def send_weights(self, weights: np.ndarray) -> None:  # noqa: B027 - most machines update all weights themselves
        """Let all machines have the weights that this rank has updated.

        Ranks: every rank, behind its part of the update.
        """

    has_whole_state: ClassVar[bool] = True
    """Whether each machine holds all of the optimizer's state."""

    def lacks_state(self, *, everywhere: bool) -> bool:  # noqa: ARG002 - most machines hold all of it
        """Say whether root's machine lacks some of the state, or any machine does; alike on all ranks."""
        return False

    def collect_state(self, *, everywhere: bool) -> None:  # noqa: B027 - most machines hold all of it
        """Bring the state together on root's machine, or on all.

        Ranks: every rank, where it is lacking; two small messages and the state.
        """

    def broadcast_state(self, comm: Communicator) -> None:
        """Continue from root's state.

        Ranks: every rank of `comm`, directly after an agreement; the state.
        """
        for array in self._model.optimizer.slot_arrays.values():
            comm.transport.broadcast(array)

    def finish(self) -> None:  # noqa: B027 - most have nothing under way
        """Wait for what is under way, however a step ends."""


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

    def sums(self, weight: float) -> tuple[float, Gather | None]:
        divisor = self._model.engine.finish_sum(weight, self.places)
        return divisor, None if self._are_written else self._sums.gather


class Replicated(BetweenMachines):
    """Each machine gets all sums and updates all of its weights: the ranks with the same part reduce it.

    The sum of a piece between machines begins when this machine's is there, and is on its way while the machine's sums
    of other pieces are made, and others are updated. Why that cannot deadlock: behind the agreement on the step each
    rank is bound to begin the sums of all its pieces, whatever happens. One that fails begins the rest with what
    happens to be there, and tells the others in the next message, to which all of them come before they wait for a sum.

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

    def divide(self, part: Part) -> None:
        super().divide(part)
        end = self._sums.products.end_of_row
        pieces = [piece for place in self.places for piece in cut(place, end)]
        self._pieces = SumsInPieces(self._exchange, pieces if self._overlaps else self.places)

    def reduce(self) -> None:
        if self._overlaps:
            self._begin()
        else:
            self._sums.add_up(self.places)
        # Nothing that could fail may lie directly before a reduction, and none may change a weight before all are here.
        self._model.comm.reach("the sums of each machine")
        if not self._overlaps:
            self._exchange.all_reduce([self._sums.own[place] for place in self.places])
        elif (
            self._is_looked_at
            or self._model.engine.reads_whole_weights
            or not self._model.optimizer.is_one_pass
        ):
            self._pieces.close()  # all are needed before the first is used

    def _begin(self) -> None:
        self._pieces.open(self._sums.own)
        try:
            for piece in reversed(self._pieces.pieces):
                self._sums.add_up([piece])
                self._pieces.begin_from(piece.start)
        except BaseException as error:
            self._pieces.begin_from(0)
            # The others hear of it before they wait for any sum. Then all wait for all of them, in `finish`.
            self._model.comm.agreement.tell(error)
            raise

    def sums(self, weight: float) -> tuple[float, Gather | None]:
        engine = self._model.engine
        if not self._pieces.are_open:
            return engine.finish_sum(weight, self.places), None

        def arrived(place: slice) -> np.ndarray:
            sums = self._pieces.take(place)
            engine.finish_sum(weight, [place])
            return sums

        return engine.finish_sum(weight, []), arrived

    def finish(self) -> None:
        self._pieces.close()
