"""Each weight is updated on one machine, which alone holds the optimizer's state of it: a shard.

A reduction between machines is a reduce-scatter and an all-gather (Thakur et al., 2005). Between the two each machine
has the sums of a share of the gradients, and may update the weights there: what is gathered are weights then, and no
more bytes are sent (ZeRO's first stage: Rajbhandari et al., 2020).

Root's machine has room for the whole state. It is brought there between epochs and before it is saved, so that
callbacks on root read all of it, or restore another, as on one rank. Elsewhere a rank that reads it is told so by an
error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from distfit.comm import Communicator
from distfit.comm.node_memory import NodeMemory
from distfit.comm.nodes import Counterparts
from distfit.optimizers import Optimizer, Part
from distfit.training.between_machines import BetweenMachines, Gather
from distfit.training.machine_sums import MachineSums

if TYPE_CHECKING:
    from distfit.training.model import Model

_PIECE = 65_536  # elements of root's state that are on their way at a time


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring weights of which each machine has a shard.

    Attributes:
        place: of all of them.
        counts: how many each machine has, one machine after the other.
        own: the place of this one's.
    """

    place: slice
    counts: list[int]
    own: slice

    @classmethod
    def of(cls, place: slice, shards: list[Part], number: int) -> Stretch:
        """Return the stretch at a place, as the shard of that number sees it."""
        counts = [sum(_common(place, one) for one in shard.places()) for shard in shards]
        start = place.start + sum(counts[:number])
        return cls(place, counts, slice(start, start + counts[number]))


def shards_of(optimizer: Optimizer, counterparts: Counterparts, local_rank: int) -> list[Part]:
    """Return what the ranks of that number update, one of each machine: none, where they are no counterparts.

    Ranks: local; a pure function.
    """
    if local_rank >= counterparts.parts:
        return []
    machines = counterparts.transport.size
    return optimizer.divide(counterparts.parts * machines)[local_rank * machines :][:machines]


def own_shard(optimizer: Optimizer, counterparts: Counterparts, local_rank: int) -> Part:
    """Return what a rank of this machine updates.

    Ranks: local; a pure function.
    """
    shards = shards_of(optimizer, counterparts, local_rank)
    return shards[counterparts.transport.rank] if shards else Part((), [])


class Sharded(BetweenMachines):
    """Each machine updates its shard of the weights, and has those of the others' from them.

    Args:
        model: what is trained.
        sums: over this machine.
        counterparts: the ranks of other machines that make the sums of the same part.
        memory: of this machine.

    Ranks: two small messages, a reduce-scatter of a rank's part of the gradients, an all-gather of its weights.
    """

    has_whole_state = False
    counts_in_norm = True

    def __init__(
        self, model: Model, sums: MachineSums, counterparts: Counterparts, memory: NodeMemory
    ) -> None:
        super().__init__(model, sums)
        check(model.optimizer)  # a callback may have set a clip since `compile`, on all ranks
        self._counterparts, self._transport, self._memory = counterparts, counterparts.transport, memory
        self._optimizer = model.optimizer  # the model may get another one
        self._piece = np.empty(_PIECE, sums.own.dtype)
        self._is_collected, self._is_everywhere = True, False  # root's machine has all of it, as all had
        self._optimizer.is_divided, self._optimizer.is_in_parts = True, not self._is_on_roots

    def divide(self, part: Part) -> None:
        super().divide(part)
        shards = shards_of(self._optimizer, self._counterparts, self._model.comm.local_rank)
        number = self._transport.rank
        self._stretches = [Stretch.of(place, shards, number) for place in self.summed]
        longest = max((stretch.counts[number] for stretch in self._stretches), default=0)
        self._shard = np.empty(longest, self._sums.own.dtype)  # on its way

    def _updated(self, part: Part) -> Part:  # noqa: ARG002 - its shards are counted from the first weight on
        return own_shard(self._optimizer, self._counterparts, self._model.comm.local_rank)

    def reduce(self) -> None:
        gradients = self._sums.own
        self._sums.add_up(self.summed)
        self._model.comm.reach("the sums of each machine")
        self._is_collected = self._is_everywhere = False
        self._optimizer.is_in_parts = True
        for stretch in self._stretches:
            received = self._shard[: stretch.counts[self._transport.rank]]
            self._transport.reduce_scatter(gradients[stretch.place], stretch.counts, received)
            gradients[stretch.own] = received

    def begin_update(self, weight: float) -> tuple[float, Gather | None]:
        return self._model.engine.finish_sum(weight, self.places), None

    def send_weights(self, weights: np.ndarray) -> None:
        self._model.comm.reach("the update of each machine's weights")
        self._bring_together(weights, everywhere=True)

    def _bring_together(self, array: np.ndarray, *, everywhere: bool) -> None:
        """Bring the shards of an array together, on all machines or on root's."""
        gather = self._transport.all_gather if everywhere else self._transport.gather
        for stretch in self._stretches:
            sent = self._shard[: stretch.counts[self._transport.rank]]
            sent[:] = array[stretch.own]
            gather(sent, stretch.counts, array[stretch.place])

    # -- the state ----------------------------------------------------------------------------------------------------

    def lacks_state(self, *, everywhere: bool) -> bool:
        return not (self._is_everywhere if everywhere else self._is_collected)

    def collect_state(self, *, everywhere: bool) -> None:
        comm = self._model.comm
        comm.reach("the optimizer's state")
        for name in self._optimizer.slot_arrays:
            self._bring_together(self._memory.shared[name], everywhere=everywhere)
        comm.reach("the optimizer's state, brought together")  # before anybody reads it
        self._is_collected, self._is_everywhere = True, everywhere
        self._optimizer.is_divided = not everywhere
        self._optimizer.is_in_parts = not (everywhere or self._is_on_roots)

    def broadcast_state(self, comm: Communicator) -> None:
        """Take each rank's shard of root's state, if root has all of it. Else forget what anybody has written to it.

        Ranks: every rank of `comm`, directly after an agreement; a number, and root's state.
        """
        if comm is not self._model.comm:
            return  # alone: what it has restored is its own, and is forgotten when all ranks meet
        is_whole = np.array([float(not self._optimizer.is_in_parts)])
        comm.transport.broadcast(is_whole)
        slots = self._optimizer.slot_arrays
        if not is_whole[0]:
            self._memory.forget(slots)
            self._optimizer.is_in_parts = True
            return
        for slot in slots.values():
            for start in range(0, slot.size, _PIECE):
                self._take_piece(comm, slot, slice(start, min(start + _PIECE, slot.size)))
        self._is_collected, self._is_everywhere = True, False
        self._optimizer.is_in_parts = not comm.is_root

    def _take_piece(self, comm: Communicator, slot: np.ndarray, place: slice) -> None:
        """Receive what root has at a place, and keep what of it is this rank's; root sends it."""
        if comm.is_root:
            comm.transport.broadcast(slot[place])
            return
        piece = self._piece[: place.stop - place.start]
        comm.transport.broadcast(piece)
        for own in self.places:
            first, last = max(own.start, place.start), min(own.stop, place.stop)
            if first < last:
                slot[first:last] = piece[first - place.start : last - place.start]


def check(optimizer: object) -> None:
    """Raise if an optimizer's state cannot be divided among machines.

    Raises:
        ValueError: naming what stands against it, and the remedy.

    Ranks: local.
    """
    if not isinstance(optimizer, Optimizer) or type(optimizer).apply is not Optimizer.apply:
        problem = f"an optimizer of distfit's whose update is its own. Received: {optimizer!r}"
    elif optimizer.takes_whole_parameters:
        problem = (
            "an update that may be cut anywhere, without norms of single weights: no clipnorm (global_clipnorm is"
            f" possible), no LAMB, no LARS. Received: {optimizer.name} with clipnorm={optimizer.clipnorm}"
        )
    elif optimizer.use_ema:
        problem = (
            "no average of the weights, which is put in their place as a whole. Received:"
            f" {optimizer.name} with use_ema=True"
        )
    else:
        return
    raise ValueError(f"shard_optimizer=True takes {problem}. Leave it out of compile")


def _common(one: slice, other: slice) -> int:
    return int(max(0, min(one.stop, other.stop) - max(one.start, other.start)))
