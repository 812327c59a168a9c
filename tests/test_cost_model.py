"""The model of a step's time: each formula by hand, and what holds whatever the numbers are."""

from dataclasses import asdict, fields, replace
from functools import partial
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import calibrate, cost_model
from benchmarks.cost_model import Job, Machine, flat, hierarchical, overlapped, sharded
from benchmarks.workload import network
from distfit.comm import Communicator
from distfit.training import sums_in_pieces

compressed = partial(hierarchical, bfloat16=True)
overlapped_compressed = partial(overlapped, bfloat16=True)
WAYS = [flat, hierarchical, sharded, compressed]
OVERLAPPED = [overlapped, overlapped_compressed]

# 1,000 weights are 4,000 bytes. Ten rows are three for the rank that has most of them, of four ranks.
THOUSAND = Job((1000,), rows=10, joins_products=False)


def seconds(low=0.0, high=1.0):
    return st.floats(low, high, allow_subnormal=False)


machines = st.builds(
    Machine,
    latency=seconds(high=1e-3),
    latency_within=seconds(high=1e-5),
    per_byte=seconds(high=1e-7),
    per_byte_of_memory=seconds(high=1e-9),
    per_byte_of_core=seconds(high=1e-9),
    per_operation=seconds(high=1e-9),
    per_weight=seconds(high=1e-8),
    per_weight_updated=seconds(high=1e-8),
    per_weight_rounded=seconds(high=1e-8),
    fixed=seconds(high=1e-2),
)
layers = st.lists(st.integers(1, 2_000_000), min_size=1, max_size=6).map(tuple)
rows = st.integers(1, 10_000)
counts = st.integers(1, 64)
quantities = st.sampled_from([field.name for field in fields(Machine)])
jobs = st.builds(Job, layers, rows, machines=counts, ranks=counts, cores=counts)
on_single_ranks = st.builds(Job, layers, rows, machines=counts, cores=counts)


def about(value):
    return pytest.approx(value, rel=1e-9, abs=1e-15)


def at_most(value):
    return value * (1 + 1e-9) + 1e-15


# -- by hand ----------------------------------------------------------------------------------------------------------


def test_products_take_six_operations_for_each_weight_and_row():
    machine = Machine(per_operation=1e-6, fixed=0.5)
    job = replace(THOUSAND, machines=2, ranks=2)
    assert flat(machine, job).compute == about(0.5 + 3 * 6000 * 1e-6)
    assert flat(machine, replace(job, cores=3)).compute == about(0.5 + 6000 * 1e-6)


def test_products_read_a_weight_twice_and_write_its_gradient_on_each_rank():
    machine = Machine(per_weight=1e-6, per_byte_of_memory=1e-8)
    assert flat(machine, THOUSAND).compute == about(1000e-6)
    assert flat(machine, replace(THOUSAND, cores=8)).compute == about(125e-6)
    # Four ranks read and write 48,000 bytes; ten 120,000.
    assert flat(machine, replace(THOUSAND, ranks=4)).compute == about(1000e-6)
    assert flat(machine, replace(THOUSAND, ranks=10)).compute == about(1200e-6)


@pytest.mark.parametrize(
    ("way", "on_one_machine", "on_several"),
    [(flat, 1, 1), (hierarchical, 2, 3), (compressed, 2, 3), (sharded, 2, 4)],
)
def test_a_small_message_of_8704_bytes_is_sent_in_each_round_of_recursive_doubling(
    way, on_one_machine, on_several
):
    machine = Machine(latency=1e-3, latency_within=1e-5, per_byte=1e-6)
    assert way(machine, replace(THOUSAND, ranks=4)).messages == about(on_one_machine * 2e-5)
    # Five machines need three rounds, of 1 ms and 8,704 us.
    message = 2e-5 + 3 * (1e-3 + 8.704e-3)
    assert way(machine, replace(THOUSAND, ranks=4, machines=5)).messages == about(on_several * message)


def test_a_reduction_by_halves_takes_two_latencies_for_each_doubling_and_sends_all_twice_but_a_share():
    # Four machines: 3/4 of 4,000 bytes are sent twice; as many are added, for which three times as many are touched.
    job = replace(THOUSAND, machines=4)
    assert flat(Machine(latency=1e-3), job).between == about(4e-3)
    assert flat(Machine(per_byte=1e-6), job).between == about(6000e-6)
    assert flat(Machine(per_byte_of_core=1e-9), job).between == about(9000e-9)


def test_ranks_of_a_machine_share_its_network_and_divide_the_sums_among_them():
    job = replace(THOUSAND, machines=4, ranks=2)
    assert hierarchical(Machine(per_byte=1e-6), job).between == about(6000e-6)
    assert hierarchical(Machine(per_byte_of_core=1e-9), job).between == about(4500e-9)
    assert hierarchical(Machine(per_byte_of_memory=1e-9), job).between == about(9000e-9)


def test_bfloat16_sends_two_bytes_and_has_more_latencies():
    # Four machines: all-to-all and all-gather have three latencies each, and 3/4 of 2,000 bytes.
    job = replace(THOUSAND, machines=4)
    assert compressed(Machine(latency=1e-3), job).between == about(6e-3)
    assert compressed(Machine(per_byte=1e-6), job).between == about(3000e-6)
    # Sent, summed and received are 1,000 numbers each, and 250 sums are rounded.
    assert compressed(Machine(per_weight_rounded=1e-6), job).between == about(3250e-6)
    assert compressed(Machine(per_weight_rounded=1e-6), replace(job, ranks=5)).between == about(650e-6)


def test_a_flat_reduction_within_a_machine_copies_all_twice_but_a_share_and_adds_it_once():
    # Four ranks: each has 3/4 of 4,000 bytes sent twice, read and written, and adds them once: 7 times 3,000.
    job = replace(THOUSAND, ranks=4)
    assert flat(Machine(per_byte_of_core=1e-9), job).within == about(21_000e-9)
    assert flat(Machine(per_byte_of_memory=1e-9), job).within == about(84_000e-9)
    assert flat(Machine(latency_within=1e-6), job).within == about(4e-6)


def test_sums_in_shared_memory_read_all_gradients_once_and_write_the_sums():
    # Each of four ranks reads 1,000 bytes of four arrays, and writes 1,000.
    job = replace(THOUSAND, ranks=4)
    for way in (hierarchical, sharded, compressed):
        assert way(Machine(per_byte_of_core=1e-9), job).within == about(5000e-9)
        assert way(Machine(per_byte_of_memory=1e-9), job).within == about(20_000e-9)
        assert way(Machine(per_byte_of_core=1e-9), replace(job, machines=2)).within == about(5000e-9)


def test_of_gradients_that_are_computed_together_each_rank_writes_a_part_from_the_rows_of_all():
    # 10,000 weights are 100 times 100. Four ranks have 10 rows each: fewer numbers than a gradient.
    job = Job((10_000,), rows=40, ranks=4)
    for way in (hierarchical, sharded, compressed):
        # A rank writes 10 rows of inputs and of gradients by outputs, and reads a quarter of 40 and all 40, of 100.
        assert way(Machine(per_byte_of_core=1e-9), job).within == about(28_000e-9)
        # It reads all weights twice, and writes a quarter of the gradients.
        assert way(Machine(per_weight=3e-6), job).compute == about(2.25 * 10_000e-6)
        assert way(Machine(per_byte_of_memory=1e-9), job).compute == about(4 * 2.25 * 40_000e-9)
        # It reads while it multiplies: 10 times 20,000 operations, of 0.1 ns.
        multiplied = way(Machine(per_byte_of_core=1e-9, per_operation=1e-10), job)
        assert multiplied.compute == about(3 * 20e-6)
        assert multiplied.within == about(8e-6)


def test_gradients_are_computed_together_where_rows_are_fewer_numbers():
    # Twice 50 rows of 100 are as many numbers as 10,000 weights; more than 2,500 weights, of which the sums are read.
    core, job = Machine(per_byte_of_core=1e-9), Job((10_000, 2500), rows=200, ranks=4)
    assert hierarchical(core, job).within == about((50 * 7 * 100 * 4 + 1.25 * 10_000) * 1e-9)
    assert hierarchical(core, replace(job, rows=201)).within == about(1.25 * 50_000e-9)
    assert hierarchical(core, replace(job, joins_products=False)).within == about(1.25 * 50_000e-9)
    assert hierarchical(core, replace(job, ranks=1)).within == 0


def test_an_update_is_made_by_each_rank_or_of_a_part_by_each_or_once_in_all():
    # Four ranks on each of five machines.
    job, core = replace(THOUSAND, ranks=4, machines=5), Machine(per_weight_updated=1e-6)
    assert flat(core, job).update == about(1000e-6)
    assert hierarchical(core, job).update == about(250e-6)
    assert sharded(core, job).update == about(50e-6)
    # Seven numbers of four bytes are touched for each weight, on a machine: 4,000, 1,000 or 200 weights.
    memory = Machine(per_byte_of_memory=1e-9)
    assert flat(memory, job).update == about(112_000e-9)
    assert hierarchical(memory, job).update == about(28_000e-9)
    assert sharded(memory, job).update == about(5600e-9)


PIECE = 262_144
# Two machines send 4 bytes of each weight: 1.048576 s for a piece at 1 us a byte. Backward is two thirds of products.
TWO_PIECES = Job((PIECE, PIECE), rows=2, machines=2)


def test_the_last_layers_gradients_are_sent_while_the_first_layers_are_computed():
    # Forward takes a layer 0.3 s, backward 0.6 s. The second layer's gradients are there after 0.6 s of backward, and
    # 1.048576 s later with the other machine; the first layer's then follow.
    machine = Machine(per_byte=1e-6, per_weight=0.9 / PIECE)
    step = overlapped(machine, TWO_PIECES)
    assert step.compute == about(1.8)
    assert step.between == about(0.6 + 2 * 1.048576 - 1.2)


def test_weights_are_updated_while_gradients_of_others_are_on_their_way():
    # The network has the second piece after 2.097152 s, and its weights take 0.5 s; those of the first were through.
    machine = Machine(per_byte=1e-6, per_weight_updated=0.5 / PIECE)
    step = overlapped(machine, TWO_PIECES)
    assert step.update == about(1.0)
    assert step.seconds == about(2 * 1.048576 + 0.5 + 2 * 8704e-6)


def test_a_large_layer_is_sent_in_pieces():
    machine = Machine(per_byte=1e-6, per_weight_updated=0.5 / PIECE)
    step = overlapped(machine, replace(TWO_PIECES, layers=(2 * PIECE,)))
    assert step.seconds == about(2 * 1.048576 + 0.5 + 2 * 8704e-6)


def test_rounding_for_an_overlapped_sum_is_the_ranks_work():
    # Two machines: three and a half passes over all weights.
    machine = Machine(per_weight_rounded=1e-6)
    assert overlapped_compressed(machine, TWO_PIECES).between == about(3.5 * 2 * PIECE * 1e-6)


FOUR_PIECES = Job((4 * PIECE,), rows=4, machines=2, ranks=2)  # two pieces a rank


def test_a_machines_pieces_are_sent_while_rows_of_others_are_multiplied():
    # Of three products of a second each, one is made piece by piece: the first is there after half of it.
    machine = Machine(per_byte=1e-6, per_operation=1 / (8 * PIECE))
    step = hierarchical(machine, FOUR_PIECES)
    assert step.compute == about(3.0)
    assert step.between == about(0.5 + 4 * 1.048576 - 1.0)
    assert hierarchical(machine, FOUR_PIECES, overlap=False).between == about(4 * 1.048576)


def test_a_machines_pieces_are_updated_while_others_are_on_their_way():
    machine = Machine(per_byte=1e-6, per_weight_updated=0.5 / PIECE)
    step = hierarchical(machine, replace(FOUR_PIECES, joins_products=False))
    assert step.update == about(1.0)
    assert step.between == about(4 * 1.048576 + 0.5 - 1.0)


def test_sums_of_several_ranks_of_a_machine_do_not_begin_in_backward():
    with pytest.raises(ValueError, match="Received: 2 ranks"):
        overlapped(Machine(), replace(THOUSAND, machines=2, ranks=2))


# -- whatever the numbers are -----------------------------------------------------------------------------------------


@given(machines, jobs)
def test_on_one_machine_nothing_goes_between_machines(machine, job):
    for way in WAYS:
        assert way(machine, replace(job, machines=1)).between == 0
    assert overlapped(machine, replace(job, machines=1, ranks=1)).between == 0


@given(machines, jobs)
def test_one_rank_alone_sums_nothing(machine, job):
    for way in WAYS:
        step = way(machine, replace(job, machines=1, ranks=1))
        assert (step.messages, step.within, step.between) == (0, 0, 0)
        assert step.seconds == about(step.compute + step.update)


@given(machines, jobs)
def test_with_an_infinite_bandwidth_only_latencies_are_left_between_machines(machine, job):
    fast = replace(
        machine, per_byte=0.0, per_byte_of_core=0.0, per_byte_of_memory=0.0, per_weight_rounded=0.0
    )
    rounds = (job.machines - 1).bit_length()
    assert flat(fast, job).between == about(2 * rounds * machine.latency)
    assert hierarchical(fast, job, overlap=False).between == about(2 * rounds * machine.latency)
    in_halves = hierarchical(fast, job, bfloat16=True, overlap=False)
    assert in_halves.between == about(2 * (job.machines - 1) * machine.latency)


@given(machines, on_single_ranks)
def test_overlapping_costs_a_small_message_at_most(machine, job):
    behind = flat(machine, job)
    assert overlapped(machine, job).seconds <= at_most(behind.seconds + behind.messages)


@given(machines, jobs, st.booleans())
def test_overlapping_on_machines_of_several_ranks_costs_nothing(machine, job, bfloat16):
    together = hierarchical(machine, job, bfloat16=bfloat16)
    behind = hierarchical(machine, job, bfloat16=bfloat16, overlap=False)
    assert together.seconds <= at_most(behind.seconds)
    assert at_most(together.seconds) >= together.compute + together.within + together.update


@given(machines, on_single_ranks)
def test_an_overlapped_step_takes_no_less_than_the_rank_or_the_network_alone(machine, job):
    for way in OVERLAPPED:
        step = way(machine, job)
        behind = flat if way is overlapped else compressed
        on_network = behind(
            replace(machine, per_byte_of_core=0.0, per_byte_of_memory=0.0, per_weight_rounded=0.0), job
        )
        assert step.seconds >= step.compute + step.update
        assert at_most(step.seconds) >= on_network.between


@given(machines, jobs, st.sampled_from(WAYS), quantities)
def test_a_machine_that_is_faster_in_anything_is_not_slower(machine, job, way, what):
    faster = replace(machine, **{what: getattr(machine, what) / 2})
    assert way(faster, job).seconds <= at_most(way(machine, job).seconds)


@given(machines, on_single_ranks, st.sampled_from(OVERLAPPED), quantities)
def test_so_it_is_where_sums_are_overlapped(machine, job, way, what):
    faster = replace(machine, **{what: getattr(machine, what) / 2})
    assert way(faster, job).seconds <= at_most(way(machine, job).seconds)


@given(machines, jobs)
def test_an_update_of_parts_is_not_slower_than_one_of_all_on_each_rank(machine, job):
    updates = [way(machine, job).update for way in (sharded, hierarchical, flat)]
    assert updates[0] <= at_most(updates[1])
    assert updates[1] <= at_most(updates[2])


@given(machines, jobs)
def test_more_rows_take_longer(machine, job):
    job = replace(job, joins_products=False)  # which depends on the rows
    more = replace(job, rows=2 * job.rows)
    for way in WAYS:
        assert way(machine, job).seconds <= at_most(way(machine, more).seconds)


# -- what the model has from elsewhere --------------------------------------------------------------------------------


# Widths of 128 and 768: kernels and biases.
SIZES = {128: 784 * 128 + 128 * 128 + 128 * 10 + 266, 768: 784 * 768 + 768 * 768 + 768 * 10 + 1546}
# A step of 2 ms, of 3 ns for a weight, of which the update takes 2, and of 10 Gflop/s; a rank moves 10 GB/s.
TIMES = {
    **{
        f"{width} wide, {rows} rows": 12 * (2e-3 + weights * (3e-9 + 6 * rows * 1e-10))
        for width, weights in SIZES.items()
        for rows in (64, 192)
    },
    "messages": 1000 * 50e-6,
    "reduction": 2 * 50e-6 + 4_000_000 * 8e-9 + 3 * 2_000_000 * 1e-10,
    "update": 10 * 4_000_000 * 2e-9,
    "rounding": 10 * 4 * 1_000_000 * 5e-9,
    "sum": 10 * 12 * 16_000_000 * 1e-10,
}


@pytest.mark.parametrize(
    ("of_ranks", "expected"),
    [
        ({"machines": 2}, {"latency": 50e-6, "per_byte": 8e-9, "per_byte_of_memory": 1e-10}),
        ({"machines": 1}, {"latency_within": 50e-6, "per_byte_of_memory": 0.5e-10}),
    ],
)
def test_calibration_finds_the_machine_whose_times_it_is_given(of_ranks, expected):
    ranks = SimpleNamespace(size=2, all_reduce=print, together=lambda action: action)
    job = SimpleNamespace(ranks=ranks, repeats=lambda usual: usual)
    calibration = calibrate.Calibration(job, **of_ranks)
    assert set(calibration.actions) == set(TIMES)
    machine = Machine(
        per_byte_of_core=1e-10,
        per_operation=1e-10,
        per_weight=1e-9,
        per_weight_updated=2e-9,
        per_weight_rounded=5e-9,
        fixed=2e-3,
        **expected,
    )
    # Layers' gaps are counted as weights: a few of a hundred thousand.
    assert asdict(calibration.machine(TIMES)) == pytest.approx(asdict(machine), rel=2e-3)


def test_pieces_and_layers_are_those_of_distfit():
    assert cost_model.PIECE == sums_in_pieces.PIECE
    model = network(Communicator.alone(), hidden=(16,))
    assert calibrate.weights_of_layers(model) == (784 * 16 + 16, 16 * 10 + 10)
