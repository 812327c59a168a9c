"""The ranks of a machine hold one copy of weights and optimizer state, and each of them updates a part of it.

Memory is what ranks of a machine share, and what an update is bound by. With a copy for each rank, each of them would
write all sums of the gradients, and read and write all weights and moments. Here a rank reads its peers' gradients
where they are, for its own part alone, adds them up and updates the weights chunk by chunk, while they are in its
cache. Between machines, the ranks with the same part sum it among themselves (a hierarchical all-reduce, whose first
half is the memory itself), piece by piece: while a piece is on its way, the machine's sums of those before it are made,
and then those behind it are updated.

Why no rank reads what another still writes: the step's agreement lies between the gradients and their sums, and a
further one between the update and the next forward pass. Both are agreements and no barriers, so that a rank that fails
anywhere makes the others raise. Within an update a rank writes to its own part only. (Sums that are thrown away,
because a loss was not finite or all weights of rows are zero, may be read while they change.)

Why it cannot deadlock that a piece's sum between machines begins where no agreement lies directly before it: behind the
agreement on the step each rank is bound to begin the sums of all its pieces, whatever happens. One that fails begins
the rest with what happens to be there, and tells the others in the next message, to which all of them come before they
wait for any sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from distfit.comm.compression import COMPRESSIONS
from distfit.comm.node_memory import Field, NodeMemory
from distfit.comm.nodes import Counterparts, counterparts, share
from distfit.engines import all_finite
from distfit.optimizers import Arrays, Part
from distfit.training.node_products import NodeProducts
from distfit.training.sums_in_pieces import SumsInPieces, cut
from distfit.training.update import Update, add_to, agree

if TYPE_CHECKING:
    from distfit.training.model import Model

_WEIGHTS = ""


def share_weights(model: Model) -> OnNode | None:
    """Move weights, optimizer state and gradients to memory that the ranks of a machine share; None without such.

    Ranks: every rank, all of which hold root's copy; the messages of `share` and `counterparts`, and one more.
    """
    engine, optimizer, comm = model.engine, model.optimizer, model.comm
    arrays = {_WEIGHTS: engine.parameters, **optimizer.state()}
    fields = {name: Field.of(array, engine.common) for name, array in arrays.items()}
    memory = share(
        comm,
        fields,
        Field.of(engine.gradients, engine.common),
        otherwise="each rank holds a copy of its own of weights and optimizer state",
    )
    if memory is None:
        return None
    if comm.is_among("local_root"):
        for name, array in arrays.items():
            memory.shared[name][...] = array
    comm.reach("the weights in shared memory")
    for name, array in arrays.items():
        memory.own[name][engine.common :] = array[engine.common :]
    gradients = memory.gradients[comm.local_rank]
    gradients[...] = engine.gradients
    engine.move(memory.own[_WEIGHTS], gradients)
    optimizer.take_slots({name: memory.own[name] for name in optimizer.state()})
    return OnNode(model, memory, counterparts(comm))


class OnNode(Update):
    """Each rank updates its part of what the ranks of its machine hold in common.

    Args:
        model: what is trained.
        memory: of the machine.
        counterparts: the ranks of other machines that have the same part.

    Ranks: no reduction within a machine; one of a rank's part between machines, and a small message. One small
        message behind the update, and one more each for the norm of all gradients, and for whether they are finite.
    """

    def __init__(self, model: Model, memory: NodeMemory, counterparts: Counterparts) -> None:
        self._model, self._memory, self._counterparts = model, memory, counterparts
        self._exchange = COMPRESSIONS[model.compiled.compression](counterparts.transport)
        self._overlaps = model.compiled.overlap
        comm, optimizer = model.comm, model.optimizer
        self._sums = memory.gradients[comm.local_rank]
        by_rank = {rank: one for rank, one in enumerate(memory.gradients) if rank != comm.local_rank}
        self._by_rank, self._peers = by_rank, list(by_rank.values())
        self._products = NodeProducts(model)
        self._lack_room = 0.0  # ranks that have more rows than there is room for
        slots = {name: memory.shared[name] for name in optimizer.state()}
        self._arrays = Arrays(memory.shared[_WEIGHTS], self._sums, slots)
        self._scratch = np.empty(optimizer.chunk_size, self._sums.dtype)
        self._is_on_roots = comm.node_ranks[0] == 0
        self._is_settled = False
        self._is_summed = False
        self._divide()

    def _divide(self) -> None:
        comm, optimizer = self._model.comm, self._model.optimizer
        self._in_wholes = optimizer.takes_whole_parameters
        parts = optimizer.divide(self._counterparts.parts)
        self._part = parts[comm.local_rank] if comm.local_rank < len(parts) else Part((), [])
        self._places = self._part.places()
        end = self._products.end_of_row
        pieces = [piece for place in self._places for piece in cut(place, end)]
        self._between_machines = SumsInPieces(self._exchange, pieces if self._overlaps else self._places)
        # Frozen parameters are nobody's part. The first rank of a machine writes what is written to them.
        self._written_for_all = list(self._places)
        if comm.is_among("local_root"):
            (whole,) = optimizer.divide(1)
            ends = [0, *(bound for place in whole.places() for bound in (place.start, place.stop))]
            self._written_for_all += map(slice, ends[::2], [*ends[1::2], self._model.engine.common])

    def is_current(self) -> bool:
        model, own = self._model, self._memory.own
        return model.engine.common is not None and all(
            array is own[name]
            for name, array in ((_WEIGHTS, model.engine.parameters), *model.optimizer.state().items())
        )

    def unsettle(self) -> None:
        self._is_settled = False

    def release(self) -> None:
        self._products.release()

    def finish(self) -> None:
        self._between_machines.close()

    def reduce(self) -> None:
        optimizer = self._model.optimizer
        if optimizer.takes_whole_parameters != self._in_wholes:  # a callback has set a clip
            self._divide()
            self._model.comm.reach("other parts of an update")  # or one that failed would begin no sums
        if not self._counterparts.alone:
            self._sum_between_machines()
            return
        is_looked_at = self._model.compiled.on_nan != "ignore"
        self._is_summed = self._products.are_used or is_looked_at or not optimizer.is_one_pass
        if self._is_summed:
            # Where this rank fails, the others change their parts of the weights, unless they agree on something first.
            self._model.progress.torn = not is_looked_at
            self._add_up(self._places)
            self._model.progress.torn = False

    def _sum_between_machines(self) -> None:
        if self._overlaps:
            self._begin_sums()
        else:
            self._add_up(self._places)
        # Nothing that could fail may lie directly before a reduction, and none may change a weight before all are here.
        self._model.comm.reach("the sums of each machine")
        if not self._overlaps:
            self._exchange.all_reduce([self._sums[place] for place in self._places])
        elif not self._updates_in_pieces():
            self._between_machines.close()
        self._is_summed = True

    def _begin_sums(self) -> None:
        """Begin to sum each piece between machines when this one's sum is there, from the last piece to the first."""
        sums = self._between_machines
        sums.open(self._sums)
        try:
            for piece in reversed(sums.pieces):
                self._add_up([piece])
                sums.begin_from(piece.start)
        except BaseException as error:
            sums.begin_from(0)
            # The others hear of it before they wait for any sum. Then all wait for all of them, in `finish`.
            self._model.comm.agreement.tell(error)
            raise

    def _add_up(self, places: Sequence[slice]) -> None:
        for place in places:
            self._products.add_up(self._sums, self._by_rank, place)

    def _updates_in_pieces(self) -> bool:
        """Say whether pieces may be updated while others are on their way: nobody looks at all of them first."""
        is_looked_at = self._model.compiled.on_nan != "ignore" or self._model.engine.reads_whole_weights
        return self._model.optimizer.is_one_pass and not is_looked_at

    def _gather(self, place: slice) -> np.ndarray:
        """Return the sums of all ranks' gradients at a place, in an array that stays in the cache."""
        return add_to(self._scratch[: place.stop - place.start], self._sums[place], self._peers, place)

    def is_finite(self) -> bool:
        is_finite = all(all_finite(self._sums[place]) for place in self._places)
        return agree(self._model.comm, "whether gradients are finite", float(not is_finite)) == 0

    def apply(self, weight: float) -> None:
        engine, optimizer, progress = self._model.engine, self._model.optimizer, self._model.progress
        # Where code of the user's has run, it may have written weights, in a step too.
        has_run = progress.hooks_came_before or progress.logs_are_read or engine.runs_code_of_the_user
        if has_run or not self._is_settled:
            self._memory.settle(self._written_for_all)
            self._is_settled = True
        divisor = engine.finish_sum(weight, [] if self._between_machines.are_open else self._places)
        if engine.reads_whole_weights:
            self._model.comm.reach("the gradients of the penalties")  # before any weight changes

        def arrived(place: slice) -> np.ndarray:
            sums = self._between_machines.take(place)
            engine.finish_sum(weight, [place])
            return sums

        gather = arrived if self._between_machines.are_open else None if self._is_summed else self._gather
        optimizer.apply_part(
            self._arrays,
            self._part,
            divisor,
            gather=gather,
            # Root's machine has all parts, and others have them once more.
            add_up=lambda number: agree(
                self._model.comm, "the norm of the gradients", number * self._is_on_roots
            ),
        )
        # The update is whole: a Ctrl-C can wait for the next step.
        lacking = float(self._products.lack_room)
        self._lack_room = agree(self._model.comm, "the update of the weights", lacking, may_interrupt=False)

    def make_room(self) -> None:
        if self._lack_room:
            self._products.make_room()
            # Of a gradient that is computed together each rank holds its part: the machine has one, like the weights.
            for place in self._products.unused(self._places):
                self._memory.give_back(self._model.comm.local_rank, place)
