"""The ranks of a machine hold one copy of weights and optimizer state, and each of them updates a part of it.

Memory is what ranks of a machine share, and what an update is bound by. With a copy for each rank, each of them would
write all sums of the gradients, and read and write all weights and moments. Here a rank reads its peers' gradients
where they are, for its own part alone, adds them up and updates the weights chunk by chunk, while they are in its
cache. Between machines, the ranks with the same part go on with it among themselves (a hierarchical all-reduce, whose
first half is the memory itself): see `between_machines`.

Why no rank reads what another still writes: the step's agreement lies between the gradients and their sums, and a
further one between the update and the next forward pass. Both are agreements and no barriers, so that a rank that fails
anywhere makes the others raise. Within an update a rank writes to its own part only. (Sums that are thrown away,
because a loss was not finite or all weights of rows are zero, may be read while they change.)
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from distfit.comm import Communicator
from distfit.comm.node_memory import Field, NodeMemory
from distfit.comm.nodes import Counterparts, counterparts, share
from distfit.engines import all_finite
from distfit.optimizers import Arrays, Part
from distfit.training.between_machines import BetweenMachines, OneMachine, Replicated
from distfit.training.machine_sums import MachineSums
from distfit.training.sharded import Sharded, own_shard
from distfit.training.update import Update, agree
from distfit.utils.heap import give_back_freed_memory

if TYPE_CHECKING:
    from distfit.training.model import Model

_WEIGHTS = ""


def share_weights(model: Model) -> OnNode | None:
    """Move weights, optimizer state and gradients to memory that the ranks of a machine share; None without such.

    Gradients come last, when each rank has dropped its own copy of the weights: a machine has no room for all at once.

    Ranks: every rank, all of which hold root's copy; the messages of `share`, twice, and `counterparts`, and one more.
    """
    engine, optimizer, comm = model.engine, model.optimizer, model.comm
    others = counterparts(comm)
    is_sharded = model.compiled.shard_optimizer and not others.alone
    arrays = {_WEIGHTS: engine.parameters, **optimizer.slot_arrays}
    fields = {name: Field.of(array, engine.common) for name, array in arrays.items()}
    if is_sharded and comm.node_ranks[0] != 0:
        shard = own_shard(optimizer, others, comm.local_rank).places()
        fields |= {
            name: Field.of(array, engine.common, shard) for name, array in optimizer.slot_arrays.items()
        }
    shared = partial(
        share,
        comm,
        otherwise="each rank holds a copy of its own of weights and optimizer state",
        alone_too=is_sharded,
    )
    memory = shared(fields, Field(0, engine.gradients.dtype, 0))
    if memory is None:
        return None
    for name, field in fields.items():
        whole = [slice(None)] if comm.is_among("local_root") else []
        for place in whole if field.held is None else field.held:
            memory.shared[name][place] = arrays[name][place]
    comm.reach("the weights in shared memory")
    for name, array in arrays.items():
        memory.own[name][engine.common :] = array[engine.common :]
    engine.move(memory.own[_WEIGHTS], engine.gradients)
    optimizer.take_slots({name: memory.own[name] for name in optimizer.slot_arrays})
    optimizer.is_in_parts = is_sharded and comm.node_ranks[0] != 0
    del arrays, array
    give_back_freed_memory()
    buffers = shared({}, Field.of(engine.gradients, engine.common))
    if buffers is None:
        engine.move(memory.own[_WEIGHTS].copy(), engine.gradients)
        optimizer.take_slots({name: array.copy() for name, array in optimizer.slot_arrays.items()})
        comm.reach("copies of the optimizer's state")  # of which only root's machine may have had all
        for copied in optimizer.slot_arrays.values():
            comm.transport.broadcast(copied)
        optimizer.is_in_parts = False
        return None
    gradients = buffers.gradients[comm.local_rank]
    gradients[...] = engine.gradients
    engine.move(memory.own[_WEIGHTS], gradients)
    return OnNode(model, memory, buffers, others)


class OnNode(Update):
    """Each rank updates its part of what the ranks of its machine hold in common.

    Args:
        model: what is trained.
        memory: of the machine, for weights and optimizer state.
        buffers: likewise, for each rank's gradients.
        counterparts: the ranks of other machines that have the same part.

    Ranks: no reduction within a machine; what `BetweenMachines` sends. One small message behind the update, and one
        more each for the norm of all gradients, and for whether they are finite.
    """

    def __init__(
        self, model: Model, memory: NodeMemory, buffers: NodeMemory, counterparts: Counterparts
    ) -> None:
        super().__init__(model)
        self._memory, self._buffers, self._counterparts = memory, buffers, counterparts
        self._optimizer = model.optimizer  # the model may get another one
        self._sums = MachineSums(model, buffers)
        self._lack_room = 0.0  # ranks that have more rows than there is room for
        slots = {name: memory.shared[name] for name in self._optimizer.slot_arrays}
        self._arrays = Arrays(memory.shared[_WEIGHTS], self._sums.own, slots)
        self._is_settled = False
        self._between, self._written_for_all = self._divided()
        self._in_wholes = self._optimizer.takes_whole_parameters

    def _divided(self) -> tuple[BetweenMachines, list[slice]]:
        """Divide the weights among the ranks.

        Returns:
            What this rank does about other machines with its part, and which places it writes for all of its machine.
        """
        model, comm, optimizer = self._model, self._model.comm, self._optimizer
        between: BetweenMachines
        if self._counterparts.alone:
            between = OneMachine(model, self._sums)
        elif model.compiled.shard_optimizer:
            between = Sharded(model, self._sums, self._counterparts, self._memory)
        else:
            between = Replicated(model, self._sums, self._counterparts)
        parts = optimizer.divide(self._counterparts.parts)
        between.divide(parts[comm.local_rank] if comm.local_rank < len(parts) else Part((), []))
        # Frozen parameters are nobody's part. The first rank of a machine writes what is written to them.
        written_for_all = list(between.summed)
        if comm.is_among("local_root"):
            (whole,) = optimizer.divide(1)
            ends = [0, *(bound for place in whole.places() for bound in (place.start, place.stop))]
            written_for_all += map(slice, ends[::2], [*ends[1::2], model.engine.common])
        return between, written_for_all

    def is_current(self) -> bool:
        model, own = self._model, self._memory.own
        return (
            model.engine.common is not None
            and model.engine.parameters is own[_WEIGHTS]
            and all(array is own[name] for name, array in model.optimizer.slot_arrays.items())
        )

    def unsettle(self) -> None:
        self._is_settled = False

    @property
    def has_whole_state(self) -> bool:
        return self._between.has_whole_state or self._model.optimizer is not self._optimizer

    def collect_state(self, *, everywhere: bool = False) -> None:
        if self.has_whole_state or not self._between.lacks_state(everywhere=everywhere):
            return
        self._memory.settle(self._written_for_all)  # which an agreement follows
        if everywhere:
            self._memory.find(
                self._optimizer.slot_arrays, self._model.comm.local_rank, self._model.comm.local_size
            )
        self._between.collect_state(everywhere=everywhere)

    def broadcast_state(self, comm: Communicator) -> None:
        if self.has_whole_state:
            super().broadcast_state(comm)
        else:
            self._between.broadcast_state(comm)

    def release(self) -> None:
        self._sums.products.release()

    def bind(self) -> None:
        self._between.bind()

    def abandon(self, error: BaseException) -> None:
        self._between.abandon(error)

    def finish(self) -> None:
        self._between.finish()

    def reduce(self) -> None:
        if self._optimizer.takes_whole_parameters != self._in_wholes:  # a callback has set a clip
            between, written_for_all = self._divided()
            self._model.comm.reach("other parts of an update")
            # Until here all were bound by the old parts, also those that have failed in dividing them anew.
            self._between, self._written_for_all = between, written_for_all
            self._in_wholes = not self._in_wholes
            between.bind()
        self._between.reduce()

    def is_finite(self) -> bool:
        is_finite = all(all_finite(self._sums.own[place]) for place in self._between.places)
        return agree(self._model.comm, "whether gradients are finite", float(not is_finite)) == 0

    def apply(self, weight: float) -> None:
        engine, progress, comm = self._model.engine, self._model.progress, self._model.comm
        # Where code of the user's has run, it may have written weights, in a step too.
        has_run = progress.hooks_came_before or progress.logs_are_read or engine.runs_code_of_the_user
        if has_run or not self._is_settled:
            self._memory.settle(self._written_for_all)
            self._is_settled = True
        divisor, gather = self._between.begin_update(weight)
        if engine.reads_whole_weights:
            comm.reach("the gradients of the penalties")  # before any weight changes
        self._optimizer.apply_part(
            self._arrays,
            self._between.part,
            divisor,
            gather=gather,
            add_up=lambda number: agree(
                comm, "the norm of the gradients", number * self._between.counts_in_norm
            ),
        )
        self._between.send_weights(self._arrays.parameters)
        # The update is whole: a Ctrl-C can wait for the next step.
        lacking = float(self._sums.products.lack_room)
        self._lack_room = agree(comm, "the update of the weights", lacking, may_interrupt=False)

    def make_room(self) -> None:
        if self._lack_room:
            self._sums.products.make_room()
            # Of a gradient that is computed together each rank holds its part: the machine has one, like the weights.
            for place in self._sums.products.unused(self._between.summed):
                self._buffers.give_back(self._model.comm.local_rank, place)
