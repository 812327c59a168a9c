"""Gradients of kernels that the ranks of a machine compute together, and nobody notices but by its speed."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.machines import machines

from distfit import Model, Sequential, config, data, layers, optimizers, utils
from distfit.callbacks import LambdaCallback
from distfit.comm import Communicator, memory_file
from distfit.engines import kernels
from distfit.errors import ModelTorn
from distfit.layers import JointProduct

INPUTS, ROWS = 6, 70


@pytest.fixture(autouse=True)
def small_kernels_too(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(kernels, "_SMALLEST", 1)
    config.set_floatx("float64")
    yield
    config.set_floatx("float32")


def rows_of_data(rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.normal(size=(rows, INPUTS)), draw.normal(size=(rows, 1))


def chain() -> list[layers.Layer]:
    return [
        layers.Dense(50, activation="relu", input_shape=(INPUTS,), kernel_regularizer="l2"),
        layers.BatchNormalization(),
        layers.Dense(40, activation="tanh"),
        layers.Dropout(0.2),
        layers.Dense(30, activation="tanh"),
        layers.Dense(1),
    ]


def made(
    comm: Communicator, parts: Any = chain, optimizer: Any = None, kind: Any = Sequential, **options: Any
) -> Model:
    utils.set_random_seed(5)
    model: Model = kind(parts(), comm=comm)
    model.compile(optimizer or optimizers.Adam(0.01), "mse", **options)
    return model


def joined(model: Model) -> int:
    """Return how many kernels' gradients are computed together."""
    return sum(kernel.parameter.joint is not None for kernel in model.engine.kernels)


def fitted(model: Model, batch_size: int = 16, **options: Any) -> list[float]:
    x, y = rows_of_data()
    losses: list[float] = model.fit(
        x, y, batch_size=batch_size, verbose=0, **{"epochs": 3, **options}
    ).history["loss"]
    return losses


def assert_same(comm: Communicator, together: Model, alone: Model, *losses: list[float]) -> None:
    np.testing.assert_allclose(*losses, rtol=1e-9)
    for one, other in zip(alone.get_weights(), together.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-9)
    assert len(set(comm.all_gather_object(together.engine.parameters.tobytes()))) == 1


def assert_like_one_rank(comm: Communicator, make: Callable[[Communicator], Model], **options: Any) -> Model:
    together, alone = make(comm), make(Communicator.alone())
    found, expected = fitted(together, **options), fitted(alone, **options)
    assert_same(comm, together, alone, found, expected)
    return together


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("batch_size", [16, 23, 3])
def test_the_numbers_are_those_of_one_rank(comm: Communicator, batch_size: int) -> None:
    """70 rows leave batches of 6, 1 and 1 at the end: fewer rows than before, and ranks with none."""
    model = assert_like_one_rank(comm, made, batch_size=batch_size)
    assert joined(model) >= 2


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: optimizers.SGD(0.01, momentum=0.9),
        lambda: optimizers.SGD(0.01, clipvalue=0.01),
        lambda: optimizers.SGD(0.01, clipnorm=0.01),
        lambda: optimizers.SGD(0.01, global_clipnorm=0.01),
        lambda: optimizers.Lamb(0.01),
    ],
)
def test_clips_and_norms_see_the_whole_gradient(comm: Communicator, optimizer: Any) -> None:
    model = assert_like_one_rank(comm, lambda comm: made(comm, optimizer=optimizer()))
    assert joined(model)


@pytest.mark.ranks(4)
@pytest.mark.parametrize("per_machine", [2, 3])
def test_on_several_machines(comm: Communicator, monkeypatch: pytest.MonkeyPatch, per_machine: int) -> None:
    machines(comm, monkeypatch, per_machine)
    assert joined(assert_like_one_rank(comm, made))


@pytest.mark.ranks(2, 3, 4)
def test_ranks_with_unequal_parts_and_more_rows_than_there_was_room_for(comm: Communicator) -> None:
    """The last rank brings few rows at first, then more than any had, then none."""
    x, y = rows_of_data(400)

    def part(number: int) -> slice:
        """Return where the rows of a rank lie: by the epoch it brings 4, 20 or no rows a step, the others 4."""
        return slice(number * 100, number * 100 + 20)

    sizes = [4, 20, 0, 7]
    together, alone = made(comm), made(Communicator.alone())
    for last in sizes:
        counts = [4] * (comm.size - 1) + [last]
        taken = [slice(part(rank).start, part(rank).start + count) for rank, count in enumerate(counts)]
        own = taken[comm.rank]
        for _ in range(2):
            found = together.train_on_batch(data.LocalPart(x[own]), data.LocalPart(y[own]))
            whole = np.concatenate([np.arange(one.start, one.stop) for one in taken])
            expected = alone.train_on_batch(x[whole], y[whole])
            np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert joined(together)
    assert_same(comm, together, alone, [0.0], [0.0])


@pytest.fixture
def made_memory(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the purposes for which memory is made from here on."""
    purposes: list[str] = []
    make = memory_file.make
    monkeypatch.setattr(memory_file, "make", lambda *args: purposes.append(args[0]) or make(*args))
    return purposes


@pytest.mark.ranks(2, 3)
def test_room_is_made_a_few_times_and_not_in_each_step(comm: Communicator, made_memory: list[str]) -> None:
    """One rank has more rows than are worth it, which the others have not: its gradients lie in its buffer."""
    x, y = rows_of_data()
    count = 60 if comm.rank == 0 else 5
    model = made(comm)
    for _ in range(6):
        model.train_on_batch(data.LocalPart(x[:count]), data.LocalPart(y[:count]))
    assert made_memory.count("distfit-weights") <= 3  # weights, gradients, and what the first step lacked
    assert joined(model) == 2


@pytest.mark.ranks(2)
def test_rows_that_grow_make_room_less_and_less_often(comm: Communicator, made_memory: list[str]) -> None:
    x, y = rows_of_data()
    model = made(comm)
    for count in range(2, 41):
        model.train_on_batch(x[:count], y[:count])
    assert made_memory.count("distfit-weights") <= 10  # of 39 steps


@pytest.mark.ranks(2, 3)
def test_one_large_batch_does_not_make_small_ones_slow(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the room for many rows only those that are filled are multiplied."""
    multiplied: list[int] = []
    matmul = np.matmul

    def counted(one: np.ndarray, other: np.ndarray, out: Any = None) -> Any:
        multiplied.append(len(other))
        return matmul(one, other, out=out)

    x, y = rows_of_data()
    model = made(comm)
    for rows in (9 * comm.size, 9 * comm.size, 2 * comm.size):
        model.train_on_batch(x[:rows], y[:rows])
    monkeypatch.setattr(np, "matmul", counted)
    model.train_on_batch(x[: 2 * comm.size], y[: 2 * comm.size])
    assert multiplied
    assert max(multiplied) == 2 * comm.size


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("fails", [False, True])
def test_compiled_again_without_shared_memory(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    together, alone = made(comm), made(Communicator.alone())

    def refuse(*_: Any) -> Any:
        raise OSError("no memory for it")

    for model in (together, alone):
        fitted(model)
        if fails and comm.local_rank == 0:
            monkeypatch.setattr(memory_file, "make", refuse)
        model.compile(optimizers.SGD(0.05), "mse", share_memory=fails)
    assert_same(comm, together, alone, fitted(together), fitted(alone))
    assert not joined(together)


class Twice(layers.Dense):
    """Writes its gradient in two parts."""

    def _write_gradients(self, x: np.ndarray, dz: np.ndarray) -> None:
        super()._write_gradients(x, 0.25 * dz)
        self.kernel.add_product(x, 0.75 * dz)
        assert self.bias is not None
        with self.bias.gradient() as out:
            np.sum(0.75 * dz, axis=0, out=out)


class ByHand(layers.Dense):
    """Writes its gradient to the buffer, as layers of a user's do."""

    def _write_gradients(self, x: np.ndarray, dz: np.ndarray) -> None:
        with self.kernel.gradient() as out:
            np.matmul(x.T, dz, out=out)
        assert self.bias is not None
        with self.bias.gradient() as out:
            np.sum(dz, axis=0, out=out)


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("kind", [Twice, ByHand])
def test_a_layer_that_writes_gradients_in_its_own_way(comm: Communicator, kind: Any) -> None:
    def parts() -> list[layers.Layer]:
        return [layers.Dense(40, input_shape=(INPUTS,)), kind(40, activation="tanh"), layers.Dense(1)]

    assert_like_one_rank(comm, lambda comm: made(comm, parts))


def on_this_model(parts: Any, *, comm: Communicator) -> Model:
    model = Sequential(parts, comm=comm)
    compute = model.compute_gradients

    def doubled(*args: Any) -> Any:
        evaluated = compute(*args)
        model.engine.gradients[...] *= 2
        return evaluated

    model.compute_gradients = doubled  # type: ignore[method-assign]
    return model


class OwnGradients(Sequential):
    def compute_gradients(self, x: Any, y: Any, sample_weight: Any, step: Any) -> Any:
        evaluated = super().compute_gradients(x, y, sample_weight, step)
        self.engine.gradients[...] *= 2
        return evaluated


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize(
    "options",
    [
        {"kind": OwnGradients},
        {"kind": on_this_model},
        {"on_nan": "raise"},
        {"on_nan": "skip"},
        {"gradient_accumulation_steps": 2},
    ],
)
def test_where_gradients_are_looked_at_or_added_to_each_rank_computes_its_own(
    comm: Communicator, options: dict[str, Any]
) -> None:
    assert not joined(assert_like_one_rank(comm, lambda comm: made(comm, **options)))


@pytest.mark.ranks(2, 3)
def test_two_models_of_common_layers_take_turns(comm: Communicator) -> None:
    def pair(comm: Communicator) -> tuple[Model, Model]:
        parts = chain()
        return made(comm, lambda: parts), made(comm, lambda: [*parts[:3], layers.Dense(1)])

    together, alone = pair(comm), pair(Communicator.alone())
    for one, other in [*zip(together, alone, strict=True)] * 2:
        found, expected = fitted(one), fitted(other)
        assert_same(comm, one, other, found, expected)


@pytest.mark.ranks(2, 3)
def test_a_layer_frozen_later(comm: Communicator) -> None:
    together, alone = made(comm), made(Communicator.alone())
    for model in (together, alone):
        fitted(model)
        model.layers[2].trainable = False
        model.compile(optimizers.SGD(0.01), "mse")
    assert_same(comm, together, alone, fitted(together), fitted(alone))


@pytest.mark.ranks(2, 3)
def test_evaluation_in_between_leaves_rows_alone(comm: Communicator) -> None:
    def hooks(model: Model) -> list[Any]:
        x, y = rows_of_data(11)
        return [LambdaCallback(ranks="root", on_train_batch_end=lambda *_: model.evaluate(x, y, verbose=0))]

    together, alone = made(comm), made(Communicator.alone())
    found = fitted(together, callbacks=hooks(together))
    assert_same(comm, together, alone, found, fitted(alone, callbacks=hooks(alone)))


@pytest.mark.ranks(2, 3)
def test_without_memory_for_rows_each_rank_computes_its_own(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    together, alone = made(comm), made(Communicator.alone())
    found = [together.train_on_batch(*rows_of_data(16))]  # the weights lie in shared memory
    made_before, make = [], memory_file.make
    assert joined(together)

    def fail(purpose: str, size: int) -> Any:
        made_before.append(purpose)
        if len(made_before) > 2:  # behind that of weights and of gradients
            raise OSError("no memory for it")
        return make(purpose, size)

    monkeypatch.setattr(memory_file, "make", fail)
    again = made(comm)
    found += [again.train_on_batch(*rows_of_data(16)) for _ in range(2)]
    assert not joined(again)
    expected = [alone.train_on_batch(*rows_of_data(16)) for _ in range(2)]
    np.testing.assert_allclose(found, [expected[0], *expected], rtol=1e-9)
    told = capfd.readouterr().err
    assert (
        told.count("each rank computes gradients of its own rows alone, since those of a machine")
        == comm.is_root
    )


@pytest.mark.ranks(2, 3)
def test_a_rank_that_fails_between_its_rows_and_their_product(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(comm)
    fitted(model)
    before = model.get_weights()

    def fail(*_: Any, **__: Any) -> None:
        raise ArithmeticError("no product")

    if comm.rank == comm.size - 1:
        monkeypatch.setattr(JointProduct, "multiply", fail)
    with pytest.raises(ArithmeticError, match="no product"):
        fitted(model)
    monkeypatch.undo()
    model.set_weights(before)
    assert np.isfinite(fitted(model)).all()


@pytest.mark.ranks(2, 3)
def test_a_loop_of_ones_own_does_not_go_on_with_weights_of_which_some_parts_are_new(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ArithmeticError("no product")

    x, y = rows_of_data(8)
    model = made(comm)
    model.train_step((x, y))
    model.train_step((x, y))
    before = model.get_weights()
    if comm.rank == 1:
        monkeypatch.setattr(JointProduct, "multiply", fail)
    with pytest.raises(ArithmeticError, match="no product"):
        model.train_step((x, y))
    monkeypatch.undo()
    with pytest.raises(ModelTorn, match="neither old nor new"):
        model.train_step((x, y))
    model.set_weights(before)
    model.train_step((x, y))
    assert len(set(comm.all_gather_object(model.engine.parameters.tobytes()))) == 1


@pytest.mark.ranks(2)
def test_small_kernels_are_not_worth_it(comm: Communicator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    model = made(comm)
    fitted(model)
    assert not joined(model)


@pytest.mark.ranks(4)
def test_a_failure_before_any_weight_changes_tears_nothing(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between machines the ranks agree once more, behind the sums of each and before the update."""
    machines(comm, monkeypatch, 2)
    model = made(comm)
    fitted(model)
    before = model.get_weights()

    def fail(*_: Any, **__: Any) -> None:
        raise ArithmeticError("no product")

    if comm.rank == 1:
        monkeypatch.setattr(JointProduct, "multiply", fail)
    with pytest.raises(ArithmeticError, match="no product"):
        fitted(model)
    monkeypatch.undo()
    for one, other in zip(model.get_weights(), before, strict=True):
        if one.shape != (50,):  # moving averages have moved
            np.testing.assert_array_equal(one, other)
    machines(comm, monkeypatch, 2)
    assert np.isfinite(fitted(model)).all()


def shared_bytes(comm: Communicator) -> int:
    """Return how much memory the ranks share, each page counted once."""
    total, is_ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        key, *rest = line.split()
        if not key.endswith(":"):
            is_ours = "memfd:distfit-weights" in line
        elif key == "Pss:" and is_ours:
            total += int(rest[0]) * 1024
    return sum(comm.all_gather_object(total))


@pytest.mark.ranks(2, 3, 4)
def test_a_machine_holds_one_gradient_of_what_its_ranks_compute_together(comm: Communicator) -> None:
    """Also where a rank's part ends within a row of a kernel; and rows without room bring a rank's own one back."""

    def wide() -> list[layers.Layer]:
        return [
            layers.Dense(1000, activation="relu", input_shape=(INPUTS,)),
            layers.Dense(1001),
            layers.Dense(1),
        ]

    gc.collect()  # of other tests' models
    before = shared_bytes(comm)
    together, alone = made(comm, wide), made(Communicator.alone(), wide)
    assert_same(comm, together, alone, fitted(together), fitted(alone))
    copies = (shared_bytes(comm) - before) / together.engine.parameters.nbytes
    assert 3.9 <= copies < 4.4  # weights, Adam's two averages, one gradient; and rows
    assert_same(comm, together, alone, fitted(together, batch_size=70), fitted(alone, batch_size=70))
