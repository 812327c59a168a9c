"""How long a step of training takes, from a dozen numbers: a model in the manner of LogGP.

In LogGP (Alexandrov et al., 1995) a message takes a latency, and a time for each of its bytes. Thakur, Rabenseifner
and Gropp (2005) tell from these two, and from a time for each byte that is summed, how long collectives take. So it is
done here between machines. Within one, bytes go through its memory, which all of its ranks have in common.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from benchmarks import cost_parts as parts
from benchmarks.cost_parts import Exchange, Job, Machine

__all__ = ["Job", "Machine", "StepTime", "flat", "hierarchical", "overlapped", "sharded"]

PIECE = 262_144  # weights whose sum begins as one, in `distfit.training.sums_in_pieces`


@dataclass(frozen=True, slots=True)
class StepTime:
    """The seconds of a step, part by part.

    Attributes:
        compute: forward and backward.
        messages: small ones.
        within: sums within a machine.
        between: sums between machines, and after an update of parts the weights: as far as nothing hides them.
        update: of the weights.
    """

    compute: float
    messages: float
    within: float
    between: float
    update: float

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return sum(float(getattr(self, field.name)) for field in fields(self))


def flat(machine: Machine, job: Job) -> StepTime:
    """Each rank holds a copy; MPI's `Allreduce` sums over all ranks, and each rank makes the whole update.

    The reduction is Rabenseifner's (in Thakur et al., 2005): halves of the vector are exchanged first with a near rank
    and then quarters with a farther one, so that what crosses machines is what one rank for each machine would send.
    With one rank for each machine, this is `fit` with ``overlap=False``.
    """
    return StepTime(
        compute=parts.compute(machine, job),
        messages=parts.small_messages(machine, job, 1),
        within=parts.copies_in_memory(machine, job),
        between=parts.exchange(machine, job).seconds,
        update=parts.update(machine, job, share=1.0),
    )


def hierarchical(machine: Machine, job: Job, *, bfloat16: bool = False, overlap: bool = True) -> StepTime:
    """A machine's ranks sum in its memory, a part each, reduce it with their counterparts elsewhere, and update it.

    This is `distfit.training.node_update`. With `overlap` a piece crosses machines while a rank sums up the next one,
    or multiplies rows for it, and while others are updated; what is between machines is what the rank waits.
    """
    own, within = parts.sums_in_memory(machine, job)
    update = parts.update(machine, job, share=1 / job.ranks)
    exchange = parts.exchange(machine, job, bfloat16=bfloat16)
    between = exchange.seconds
    if overlap and job.machines > 1:
        beside = parts.joint_products(machine, job) + within
        part = job.weights / job.ranks
        pieces = (1,) * math.ceil(part / PIECE)  # of one length
        piped = _pipeline(pieces, beside + exchange.before, exchange, exchange.after + update)
        between = piped - beside - update
    return StepTime(
        compute=parts.compute(machine, job, own),
        messages=parts.small_messages(machine, job, 2 if job.machines == 1 else 3),
        within=within,
        between=between,
        update=update,
    )


def sharded(machine: Machine, job: Job) -> StepTime:
    """As `hierarchical`, but each weight of the job is updated once: on one rank of one machine.

    A reduction is a reduce-scatter and an all-gather (Thakur et al., 2005), and the update may stand between the two:
    what is gathered are then weights (ZeRO's first stage: Rajbhandari et al., 2020). No more bytes are sent, and one
    small message more, since a bulk transfer follows an agreement. This is `distfit.training.sharded`.
    """
    own, within = parts.sums_in_memory(machine, job)
    return StepTime(
        compute=parts.compute(machine, job, own),
        messages=parts.small_messages(machine, job, 2 if job.machines == 1 else 4),
        within=within,
        between=parts.exchange(machine, job).seconds,
        update=parts.update(machine, job, share=1 / (job.ranks * job.machines)),
    )


def overlapped(machine: Machine, job: Job, *, bfloat16: bool = False) -> StepTime:
    """One rank for each machine; sums begin during backward, and end during the update.

    This is `distfit.training.overlapped`: a pipeline of backward, network and update, in which a layer's gradients go
    from the one to the other (Li et al., 2020, have its first half). What is between machines is what the rank waits.

    Raises:
        ValueError: if machines have several ranks: their sums begin behind backward, as in `hierarchical`.
    """
    if job.ranks != 1:
        raise ValueError(
            f"sums begin in backward where machines have one rank each. Received: {job.ranks} ranks"
        )
    if job.machines == 1:
        return flat(machine, job)
    compute, update = parts.compute(machine, job), parts.update(machine, job, share=1.0)
    exchange = parts.exchange(machine, job, bfloat16=bfloat16)
    backward = 2 / 3 * (compute - machine.fixed)  # two products of three
    piped = _pipeline(job.layers, backward + exchange.before, exchange, exchange.after + update)
    return StepTime(
        compute=compute,
        messages=parts.small_messages(machine, job, 2),
        within=0.0,
        between=piped - backward - update,
        update=update,
    )


def _pipeline(layers: tuple[int, ...], first: float, exchange: Exchange, last: float) -> float:
    """Return when the last piece is through backward, network and update, of which a rank does one at a time.

    Pieces go in the order of backward. Those of a layer begin together, when all of its gradients are there.
    """
    weights, rank, network = sum(layers), 0.0, 0.0
    arrived: list[tuple[float, float]] = []
    for layer in reversed(layers):
        rank += layer / weights * first
        pieces = math.ceil(layer / PIECE)
        share = layer / pieces / weights
        for _ in range(pieces):
            network = max(network, rank) + share * exchange.transfer
            arrived.append((share, network + exchange.latency))
    for share, at in arrived:
        rank = max(rank, at) + share * last
    return rank
