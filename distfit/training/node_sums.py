"""Sums of gradients that the ranks of a machine make in its memory, for optimizers that update a copy on each rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distfit.comm.compression import COMPRESSIONS
from distfit.comm.node_memory import Field, NodeMemory
from distfit.comm.nodes import Counterparts, counterparts, share
from distfit.optimizers import Segment
from distfit.optimizers.parts import divide
from distfit.training.update import Everywhere, add_up

if TYPE_CHECKING:
    from distfit.training.model import Model


def share_gradients(model: Model) -> NodeSums | None:
    """Move gradients to memory that the ranks of a machine share; None without such.

    Ranks: every rank; the messages of `share` and `counterparts`.
    """
    engine, comm = model.engine, model.comm
    gradients = Field.of(engine.gradients, engine.common)
    memory = share(comm, {}, gradients, otherwise="gradients are summed by MPI within a machine, too")
    if memory is None:
        return None
    own = memory.gradients[comm.local_rank]
    own[...] = engine.gradients
    engine.move(engine.parameters, own)
    return NodeSums(model, memory, counterparts(comm))


class NodeSums(Everywhere):
    """Each rank sums a part of the gradients where its peers have them, and then reads the other parts from theirs.

    MPI's reduction within a machine does the same through buffers of its own, in about twice the time.

    Args:
        model: what is trained; its gradients lie in the memory.
        memory: of the machine.
        counterparts: the ranks of other machines that have the same part.

    Ranks: two small messages, and between machines one more and a reduction of a rank's part.
    """

    def __init__(self, model: Model, memory: NodeMemory, counterparts: Counterparts) -> None:
        super().__init__(model)
        self._is_one_machine = counterparts.alone
        self._between_machines = COMPRESSIONS[model.compiled.compression](counterparts.transport)
        whole = Segment("all", 0, memory.gradients[0].size)
        parts = divide([whole], counterparts.parts, whole=False)
        places = [slice(part[0].start, part[0].stop) if part else slice(0, 0) for part in parts]
        rank = model.comm.local_rank
        self._own = memory.gradients[rank]
        self._place = places[rank] if rank < len(places) else slice(0, 0)
        self._between_machines.prepare([self._own[self._place].size])
        self._peers = [one for number, one in enumerate(memory.gradients) if number != rank]
        self._others = [
            (place, memory.gradients[number]) for number, place in enumerate(places) if number != rank
        ]

    def is_current(self) -> bool:
        engine = self._model.engine
        return engine.common is not None and engine.gradients is self._own

    def reduce(self) -> None:
        comm = self._model.comm
        add_up(self._own, self._peers, self._place)
        if not self._is_one_machine:
            comm.reach(
                "the sums of each machine"
            )  # nothing that could fail may lie directly before a reduction
            self._between_machines.all_reduce([self._own[self._place]])
        comm.reach("the sums of parts of the gradients")  # before anybody reads them
        for place, peer in self._others:
            self._own[place] = peer[place]
        comm.reach("the sums of the gradients")  # before anybody writes the next ones
