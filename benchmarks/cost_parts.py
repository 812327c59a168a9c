"""What the parts of a step take: formulas of a machine's numbers and a job's, for `cost_model`.

A core is taken by what it computes, the memory by the bytes that go through it. Where one thing needs both, the slower
counts (as in the roofline model: Williams et al., 2009).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from distfit.comm.agreement import MESSAGE_LENGTH

SMALL_MESSAGE = 8 * MESSAGE_LENGTH  # bytes
READS_OF_COMPUTE = 2  # of each weight, forward and backward
ACCESSES_OF_UPDATE = 7  # Adam reads gradient, weight and two moments, and writes the latter three
ACCESSES_OF_SUM = 3  # two numbers are read, and one is written
ACCESSES_OF_COPY = 2  # what one rank of a machine sends another is read, and written


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a machine and its network take, in seconds; all machines are alike, and what is left out takes no time.

    Attributes:
        latency: of a message to another machine (LogGP's L + 2o; alpha in the formulas of collectives).
        latency_within: of a message to another rank of the machine.
        per_byte: of a message to another machine, each way (LogGP's G; beta).
        per_byte_of_memory: that the memory is read or written, for all of a machine's ranks together.
        per_byte_of_core: that the memory is read or written, for one rank alone.
        per_operation: a floating-point operation of a core, in products of matrices.
        per_weight: of products with a weight, on one core, however few the rows are: it is packed, its gradient stored.
        per_weight_updated: by Adam, on one core.
        per_weight_rounded: to bfloat16 or back, on one core.
        fixed: whatever a rank does once a step.
    """

    latency: float = 0.0
    latency_within: float = 0.0
    per_byte: float = 0.0
    per_byte_of_memory: float = 0.0
    per_byte_of_core: float = 0.0
    per_operation: float = 0.0
    per_weight: float = 0.0
    per_weight_updated: float = 0.0
    per_weight_rounded: float = 0.0
    fixed: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """What is trained, and on what.

    Attributes:
        layers: the weights of each, in the order of forward.
        rows: of a global batch.
        machines: how many.
        ranks: on each machine.
        cores: of each rank; they share the products of matrices, and nothing else.
        bytes_per_weight: of a weight, a moment, and a gradient.
        operations_per_weight: of a row. In a dense layer three products have a multiplication and an addition for each
            weight: the outputs, the weights' gradients, the inputs' gradients.
        joins_products: whether the ranks of a machine may compute gradients together, as those of dense layers
            (`distfit.training.node_products`).
    """

    layers: tuple[int, ...]
    rows: int
    machines: int = 1
    ranks: int = 1
    cores: int = 1
    bytes_per_weight: int = 4
    operations_per_weight: float = 6.0
    joins_products: bool = True

    @property
    def weights(self) -> int:
        """Of all layers."""
        return sum(self.layers)

    @property
    def bytes(self) -> int:
        """Of all weights."""
        return self.weights * self.bytes_per_weight

    @property
    def rows_of_rank(self) -> int:
        """Of the one that has most."""
        return math.ceil(self.rows / (self.machines * self.ranks))


@dataclass(frozen=True, slots=True)
class Exchange:
    """What sums between machines take.

    Attributes:
        latency: until the first byte is there.
        transfer: of all bytes.
        before: of a rank's time, until its gradients can be sent.
        after: of a rank's time, until what has arrived can be used.
    """

    latency: float
    transfer: float
    before: float
    after: float

    @property
    def seconds(self) -> float:
        """Of one after the other."""
        return self.latency + self.transfer + self.before + self.after


def compute(machine: Machine, job: Job, own: float = 1.0) -> float:
    """Forward and backward of the rank with most rows: what rows take, and what weights take however few these are.

    Forward and backward read each weight, and backward writes gradients: those of a share of the weights.
    """
    passes = READS_OF_COMPUTE + own
    traffic = job.ranks * passes * job.bytes * machine.per_byte_of_memory
    on_core = passes / (READS_OF_COMPUTE + 1) * job.weights * machine.per_weight / job.cores
    return machine.fixed + _arithmetic(machine, job) + max(on_core, traffic)


def small_messages(machine: Machine, job: Job, number: int) -> float:
    """Recursive doubling, which Thakur et al. (2005) take for short vectors: in each round all of the message is sent.

    A machine's ranks are summed first, as MPI libraries do it, so that one message leaves a machine in a round.
    """
    within = doublings(job.ranks) * machine.latency_within
    between = doublings(job.machines) * (machine.latency + SMALL_MESSAGE * machine.per_byte)
    return number * (within + between)


def exchange(machine: Machine, job: Job, *, bfloat16: bool = False) -> Exchange:
    """Sum over machines: each sends and receives all gradients twice, but for one machine's share of them.

    As float32 it is Rabenseifner's reduction, with ``2 lg M`` latencies (Thakur et al., 2005). As bfloat16 it is an
    all-to-all and an all-gather, of two bytes a weight, with ``M - 1`` latencies each. A rank rounds its part to send
    it, widens it to sum it, rounds one machine's share of the sums, and widens its part when it is there.
    """
    machines, part = job.machines, job.weights / job.ranks
    if machines == 1:
        return Exchange(0.0, 0.0, 0.0, 0.0)
    twice = 2 * (machines - 1) / machines
    if bfloat16:
        rounded = part * machine.per_weight_rounded
        transfer = twice * 2 * job.weights * machine.per_byte
        return Exchange(2 * (machines - 1) * machine.latency, transfer, rounded, (2 + 1 / machines) * rounded)
    summed = ACCESSES_OF_SUM * twice / 2 * job.bytes / job.ranks
    transfer = twice * job.bytes * machine.per_byte
    return Exchange(2 * doublings(machines) * machine.latency, transfer, 0.0, _memory(machine, job, summed))


def copies_in_memory(machine: Machine, job: Job) -> float:
    """Reduce all gradients over a machine's ranks, to a copy for each: Rabenseifner's reduction, in memory.

    A rank sends all but a share twice, which is read and written, and sums as much once (Thakur et al., 2005).
    """
    ranks = job.ranks
    moved = (2 * ACCESSES_OF_COPY + ACCESSES_OF_SUM) * (ranks - 1) / ranks * job.bytes
    return 2 * doublings(ranks) * machine.latency_within + _memory(machine, job, moved)


def sums_in_memory(machine: Machine, job: Job) -> tuple[float, float]:
    """Return of which share of the weights a rank writes gradients, and the seconds of the sums over its machine.

    Gradients that each rank has computed are read once, a part of all ranks' by each, and their sum is written. Of
    those that are computed together each rank writes a part, from the rows of all: it writes its own rows, and reads a
    part of all inputs and all gradients by outputs, while it multiplies. That is done where a rank's rows are fewer
    numbers than its gradient; layers are taken for square here.
    """
    ranks, rows = job.ranks, job.rows_of_rank
    if ranks == 1:
        return 1.0, 0.0
    joined = _joined(job)
    share = sum(joined) / job.weights
    of_rows = sum(math.sqrt(n) for n in joined) * rows * (ranks + 3) * job.bytes_per_weight
    waits_for_rows = max(0.0, _memory(machine, job, of_rows) - joint_products(machine, job))
    of_gradients = (1 - share) * (1 + 1 / ranks) * job.bytes
    return 1 - share + share / ranks, waits_for_rows + _memory(machine, job, of_gradients)


def joint_products(machine: Machine, job: Job) -> float:
    """Multiply the rows of a machine's ranks for a part of the gradients: one product of three, behind backward."""
    return sum(_joined(job)) / job.weights * _arithmetic(machine, job) / 3


def _joined(job: Job) -> list[int]:
    """Return the weights of the layers whose gradients a machine's ranks compute together."""
    if job.ranks == 1 or not job.joins_products:
        return []
    return [n for n in job.layers if 2 * job.rows_of_rank * math.sqrt(n) <= n]


def _arithmetic(machine: Machine, job: Job) -> float:
    """Multiply a rank's rows, by the weights and by each other."""
    operations = job.rows_of_rank * job.weights * job.operations_per_weight
    return operations * machine.per_operation / job.cores


def update(machine: Machine, job: Job, share: float) -> float:
    """Change a share of the weights on each rank, on one core, but no faster than the memory has them."""
    traffic = job.ranks * share * ACCESSES_OF_UPDATE * job.bytes
    return max(share * job.weights * machine.per_weight_updated, traffic * machine.per_byte_of_memory)


def _memory(machine: Machine, job: Job, bytes_of_rank: float) -> float:
    """Have each rank read or write so many bytes: as fast as a core can, and as all can together."""
    return bytes_of_rank * max(machine.per_byte_of_core, job.ranks * machine.per_byte_of_memory)


def doublings(number: int) -> int:
    """Return in how many rounds so many have heard of each other."""
    return math.ceil(math.log2(number))
