"""Gradients that cross machines in half as many bytes: equal on all ranks, and nothing of them is lost."""

from typing import Any

import numpy as np
import pytest
from support.machines import machines
from support.small import line, regression

from distfit import Sequential, layers, optimizers, utils
from distfit.comm import Communicator
from distfit.comm.compression import Bfloat16
from distfit.comm.exchange import Exact

CALLS = 40


def prepared(comm: Communicator, *sizes: int) -> Bfloat16:
    exchange = Bfloat16(comm.transport)
    exchange.prepare(sizes)
    return exchange


@pytest.mark.ranks(1, 2, 3, 4)
@pytest.mark.parametrize("sizes", [[1], [2, 3], [1000], [65_536, 7], [140_001], [0, 5]])
def test_nothing_is_lost_over_many_calls(comm: Communicator, sizes: list[int]) -> None:
    exchange = prepared(comm, *sizes)
    given = [np.zeros(size) for size in sizes]
    received = [np.zeros(size) for size in sizes]
    draw = np.random.default_rng(comm.rank)
    for call in range(
        CALLS + 4
    ):  # in the last ones only what was kept is sent, and 9 bits more of it each time
        scale = 10.0 ** draw.integers(-6, 6) * (call < CALLS)
        arrays = [(draw.normal(size=size) * scale).astype(np.float32) for size in sizes]
        for total, array in zip(given, arrays, strict=True):
            total += array
        comm.barrier()
        exchange.all_reduce(arrays)
        for total, array in zip(received, arrays, strict=True):
            total += array
        assert len(set(comm.all_gather_object(b"".join(array.tobytes() for array in arrays)))) == 1
    for total in given:
        comm.all_reduce(total)
    for exact, total in zip(given, received, strict=True):
        rounding = CALLS * comm.size * 2.0**-24 * 5e5  # of sums in float32, of the largest number
        np.testing.assert_allclose(total, exact, rtol=0, atol=rounding)


@pytest.mark.ranks(1, 2, 3)
def test_a_constant_gradient_comes_in_full_over_time(comm: Communicator) -> None:
    """1.001 is no bfloat16: the nearest is 1. Without what is kept, its last digit would never arrive."""
    exchange, total = prepared(comm, 3), np.zeros(3)
    for _ in range(200):
        array = np.full(3, 1.001, np.float32)
        comm.barrier()
        exchange.all_reduce([array])
        assert set((array.view(np.uint32) & 0xFFFF).tolist()) == {0}
        total += array
    np.testing.assert_allclose(total, 200.2 * comm.size, rtol=1e-4)


@pytest.mark.ranks(2, 3)
def test_small_whole_numbers_are_exact_at_once(comm: Communicator) -> None:
    array = np.arange(100, dtype=np.float32)
    comm.barrier()
    prepared(comm, array.size).all_reduce([array])
    kept = np.arange(100) * comm.size <= 256  # 8 bits
    np.testing.assert_array_equal(array[kept], np.arange(100)[kept] * comm.size)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1 + 2**-8, 1.0),  # the even one of two that are as near
        (1 + 3 * 2**-8, 1 + 2**-6),
        (1 + 2**-8 + 2**-20, 1 + 2**-7),
        (-1 - 3 * 2**-8, -1 - 2**-6),
        (3e38, 226 * 2.0**120),
        (1e-38, 109 * 2.0**-133),
        (0.0, 0.0),
        (np.inf, np.inf),
    ],
)
def test_numbers_are_rounded_as_processors_round_them(number: float, expected: float) -> None:
    array = np.array([number], np.float32)
    prepared(Communicator.alone(), array.size).all_reduce([array])
    assert array[0] == expected


def test_what_is_no_number_stays_none() -> None:
    array = np.array([np.nan, 1.0], np.float32)
    prepared(Communicator.alone(), array.size).all_reduce([array])
    assert not np.isfinite(array[0])
    assert array[1] == 1


@pytest.mark.ranks(1, 2)
def test_what_is_no_number_is_forgotten_in_the_next_call(comm: Communicator) -> None:
    exchange = prepared(comm, 3)
    for number in (np.nan, np.inf, -np.inf, 3.4e38, 1.0):
        array = np.full(3, number, np.float32)
        comm.barrier()
        exchange.all_reduce([array])
    assert np.isfinite(array).all()


@pytest.mark.ranks(1, 2)
def test_an_overflow_of_what_was_kept_raises_on_no_rank(comm: Communicator) -> None:
    """Warnings are errors here, as they are in some users' programs: the other ranks would wait for this one."""
    exchange = prepared(comm, 3)
    for number in (0.0, 3.3953e38, 3.4027e38):
        comm.barrier()
        exchange.all_reduce([np.full(3, number if comm.is_root else 0, np.float32)])


def trained(comm: Communicator, **compile_options: Any) -> Any:
    utils.set_random_seed(5)
    model = Sequential(
        [
            layers.Dense(70, activation="tanh", input_shape=(2,)),
            layers.Dense(40, activation="tanh"),
            layers.Dense(1),
        ],
        comm=comm,
    )
    model.compile(optimizers.SGD(0.05, momentum=0.9), "mse", **compile_options)
    losses = model.fit(*line(64), batch_size=8, epochs=5, verbose=0).history["loss"]
    return losses, model


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("share_memory", [True, False])
@pytest.mark.parametrize("per_machine", [1, 2])
def test_a_training_between_machines(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, per_machine: int, share_memory: bool
) -> None:
    if comm.size > per_machine:
        machines(comm, monkeypatch, per_machine)
    sent: list[str] = []
    begin = Bfloat16.begin
    monkeypatch.setattr(Bfloat16, "begin", lambda *args: sent.append("half") or begin(*args))
    losses, model = trained(comm, compression="bfloat16", share_memory=share_memory)
    # Where machines have unequal numbers of ranks, some send nothing.
    assert max(comm.all_gather_object(len(sent))) == (40 if comm.size > per_machine else 0)
    exact, _ = trained(Communicator.alone())
    np.testing.assert_allclose(losses, exact, rtol=0.02)
    assert len(set(comm.all_gather_object(model.engine.parameters.tobytes()))) == 1


@pytest.mark.ranks(2)
def test_ranks_of_one_machine_send_exact_numbers_or_none(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bfloat16, "begin", pytest.fail)
    with_it, _ = trained(comm, compression="bfloat16")
    without, _ = trained(comm)
    assert with_it == without


@pytest.mark.ranks(1, 2)
def test_what_cannot_be_compressed_is_said_on_all_ranks(comm: Communicator) -> None:
    from distfit import config

    with pytest.raises(ValueError, match=r"compression is one of None, 'bfloat16'\. Received: 'zip'"):
        regression(comm, compression="zip")
    config.set_floatx("float64")
    try:
        model = regression(comm, compression="bfloat16")
        with pytest.raises(ValueError, match=r"compression takes float32 weights\. Received: float64"):
            model.fit(*line(), verbose=0)
    finally:
        config.set_floatx("float32")


@pytest.mark.ranks(2)
def test_exact_exchanges_reduce_each_array(comm: Communicator) -> None:
    arrays = [np.full(size, comm.rank + 1.0) for size in (3, 1)]
    comm.barrier()
    Exact(comm.transport).all_reduce(arrays)
    assert [array.tolist() for array in arrays] == [[3.0] * 3, [3.0]]
