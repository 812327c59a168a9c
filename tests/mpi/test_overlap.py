"""Gradients are summed while others are computed, and nobody notices but by its speed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.dense import Whole
from support.machines import machines
from support.small import line, regression

from distfit import Model, RemoteError, Sequential, config, layers, optimizers, utils
from distfit.callbacks import LambdaCallback
from distfit.comm import Communicator
from distfit.errors import RanksDiverged
from distfit.training import sums_in_pieces
from distfit.training.overlapped import Overlapped
from distfit.training.update import Everywhere

ROWS = 35  # in batches of 8: the last has fewer than four ranks


@pytest.fixture(autouse=True)
def alone_on_its_machine(comm: Communicator, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each rank is on a machine of its own, and its gradients take many pieces; numbers are exact enough to compare."""
    if comm:  # None on a rank that the test does without
        machines(comm, monkeypatch, 1)
    monkeypatch.setattr(sums_in_pieces, "PIECE", 100)
    config.set_floatx("float64")
    yield
    config.set_floatx("float32")


def chain(*, regularizer: Any = None) -> list[layers.Layer]:
    return [
        layers.Dense(30, activation="relu", input_shape=(2,), kernel_regularizer=regularizer),
        layers.BatchNormalization(),
        layers.Dropout(0.2),
        layers.Dense(20, activation="tanh", kernel_regularizer=regularizer),
        layers.Dense(1),
    ]


def sequential(comm: Communicator) -> Model:
    return Sequential(chain(), comm=comm)


def regularized(comm: Communicator) -> Model:
    return Sequential(chain(regularizer="l2"), comm=comm)


def wholly_regularized(comm: Communicator) -> Model:
    return Sequential(chain(regularizer=Whole()), comm=comm)


def used_twice(comm: Communicator) -> Model:
    """The first layer's gradients are final last, and those behind it lie before it in no order that matters."""
    x = layers.Input((2,))
    shared = layers.Dense(2, activation="tanh")
    y = layers.Dense(12)(shared(layers.Dense(2)(shared(x))))
    return Model(x, layers.Dense(1)(y), comm=comm)


def partly_frozen(comm: Communicator) -> Model:
    parts = chain()
    parts[3].trainable = False
    return Sequential(parts, comm=comm)


def first_frozen(comm: Communicator) -> Model:
    parts = chain()
    parts[0].trainable = parts[1].trainable = False
    return Sequential(parts, comm=comm)


MODELS = [sequential, regularized, wholly_regularized, used_twice, partly_frozen, first_frozen]

OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "Adam": lambda: optimizers.Adam(0.01),
    "AdamW": lambda: optimizers.AdamW(0.01, weight_decay=0.1),
    "global_clipnorm": lambda: optimizers.SGD(0.01, global_clipnorm=0.01),
    "LAMB": lambda: optimizers.Lamb(0.01),
    "averages": lambda: optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3),
}


def made(
    build: Callable[[Communicator], Model], comm: Communicator, optimizer: Any = None, **options: Any
) -> Model:
    utils.set_random_seed(5)
    model = build(comm)
    model.compile(optimizer or optimizers.Adam(0.01), "mse", **options)
    return model


def trained(model: Model, **options: Any) -> dict[str, list[float]]:
    x, y = line(ROWS)
    data: dict[str, Any] = {"x": x, "y": y, "validation_data": (x[:11], y[:11])}
    return model.fit(**data, batch_size=8, epochs=2, verbose=0, **options).history


def assert_like_one_rank(comm: Communicator, make: Callable[[Communicator], Model]) -> Model:
    """Compare a training with that of one rank; and all ranks with each other, to the last bit."""
    alone, together = make(Communicator.alone()), make(comm)
    expected, found = trained(alone), trained(together)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-9, err_msg=name)
    for one, other in zip(alone.get_weights(), together.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-9)
    for array in (together.engine.parameters, *together.optimizer.state().values()):
        assert len(set(comm.all_gather_object(array.tobytes()))) == 1
    return together


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("build", MODELS)
def test_any_model_gives_what_it_gives_on_one_rank(
    comm: Communicator, build: Callable[[Communicator], Model]
) -> None:
    model = assert_like_one_rank(comm, lambda comm: made(build, comm))
    assert isinstance(model.update, Overlapped)


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_gives_what_it_gives_on_one_rank(comm: Communicator, name: str) -> None:
    model = assert_like_one_rank(comm, lambda comm: made(regularized, comm, OPTIMIZERS[name]()))
    assert isinstance(model.update, Overlapped)


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize(
    "options", [{"gradient_accumulation_steps": 3}, {"divergence_every": 1}, {"steps_per_execution": 2}]
)
def test_what_compile_offers(comm: Communicator, options: dict[str, Any]) -> None:
    model = assert_like_one_rank(comm, lambda comm: made(sequential, comm, **options))
    assert isinstance(model.update, Overlapped)


class Scaled(Sequential):
    def compute_gradients(self, x: Any, y: Any, sample_weight: Any, step: Any) -> Any:
        evaluated = super().compute_gradients(x, y, sample_weight, step)
        self.engine.gradients[...] *= 2
        return evaluated


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize(
    ("build", "options"),
    [
        (lambda comm: Scaled(chain(), comm=comm), {}),
        (sequential, {"on_nan": "raise"}),
        (sequential, {"overlap": False}),
    ],
)
def test_where_gradients_are_looked_at_or_changed_they_are_summed_behind_backward(
    comm: Communicator, build: Any, options: dict[str, Any]
) -> None:
    model = assert_like_one_rank(comm, lambda comm: made(build, comm, **options))
    assert type(model.update) is Everywhere


@pytest.mark.ranks(2)
def test_on_one_machine_nothing_overlaps(comm: Communicator, monkeypatch: pytest.MonkeyPatch) -> None:
    machines(comm, monkeypatch, 2)
    model = made(sequential, comm, share_memory=False)
    trained(model)
    assert type(model.update) is Everywhere


@pytest.mark.ranks(2, 3)
def test_sums_begin_while_gradients_are_computed(comm: Communicator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last layer's are under way when the first layer's backward begins."""
    model = made(sequential, comm)
    trained(model)
    begun: list[int] = []
    begin = model.update._sums._exchange.begin
    monkeypatch.setattr(
        model.update._sums._exchange,
        "begin",
        lambda number, array: begun.append(number) or begin(number, array),
    )
    under_way: list[int] = []
    first = model.layers[0]
    write = first._write_gradients
    monkeypatch.setattr(first, "_write_gradients", lambda *args: under_way.append(len(begun)) or write(*args))
    x, y = line(16)
    model.fit(x, y, batch_size=16, verbose=0)
    pieces = len(model.update._sums.pieces)
    assert begun == list(range(pieces))[::-1]
    assert 0 < under_way[0] < pieces


@pytest.mark.ranks(2, 3)
def test_a_step_takes_one_message_more(comm: Communicator) -> None:
    def messages(**options: Any) -> int:
        model = regression(comm, **options)
        counts: list[int] = []
        hook = LambdaCallback(on_epoch_begin=lambda *_: counts.append(comm.agreement.messages))
        model.fit(*line(), batch_size=5, epochs=2, verbose=0, callbacks=[hook])
        return counts[1] - counts[0]

    assert messages() - messages(overlap=False) == 2  # steps


@pytest.mark.ranks(2, 3, 4)
def test_bfloat16_follows_float32(comm: Communicator) -> None:
    config.set_floatx("float32")
    together = made(sequential, comm, optimizers.SGD(0.05), compression="bfloat16")
    found = trained(together)["loss"]
    expected = trained(made(sequential, Communicator.alone(), optimizers.SGD(0.05)))["loss"]
    assert isinstance(together.update, Overlapped)
    np.testing.assert_allclose(found, expected, rtol=0.02)
    assert len(set(comm.all_gather_object(together.engine.parameters.tobytes()))) == 1


class Decayed(layers.Dense):
    """Adds to the kernel's gradient behind the layer's own backward."""

    def forward(self, x: np.ndarray, context: layers.Context) -> Any:
        y, inner = super().forward(x, context)

        def backward(dy: np.ndarray) -> Any:
            dx = inner(dy)
            with self.kernel.gradient() as out:
                np.multiply(0.1 * len(x), self.kernel.value, out=out)
            return dx

        return y, backward


class Block(layers.Layer):
    """Two layers in one, which get its context."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = layers.Dense(20, activation="tanh"), layers.Dense(6)

    def output_shape(self, input_shape: Any) -> Any:
        return (6,)

    def build(self, input_shape: Any) -> None:
        self.first.ensure_built(input_shape)
        self.second.ensure_built((20,))
        self.parameters += self.first.parameters + self.second.parameters

    def forward(self, x: np.ndarray, context: layers.Context) -> Any:
        hidden, of_first = self.first.forward(x, context)
        y, of_second = self.second.forward(hidden, replace(context, needs_input_gradient=True))
        return y, lambda dy: of_first(of_second(dy))


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("kind", [lambda: Decayed(6), Block])
def test_layers_of_ones_own_that_are_made_of_those_here(comm: Communicator, kind: Any) -> None:
    def build(comm: Communicator) -> Model:
        return Sequential([layers.Dense(8, input_shape=(2,)), kind(), layers.Dense(1)], comm=comm)

    model = assert_like_one_rank(comm, lambda comm: made(build, comm))
    assert isinstance(model.update, Overlapped)


class Tied(layers.Layer):
    """Multiplies by a matrix of a later layer's."""

    def __init__(self, owner: layers.Dense) -> None:
        super().__init__()
        self.owner = owner

    def output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def forward(self, x: np.ndarray, context: layers.Context) -> Any:
        kernel = self.owner.kernel

        def backward(dy: np.ndarray) -> np.ndarray:
            kernel.add_product(x, dy)
            return np.asarray(dy @ kernel.value.T)

        return x @ kernel.value, backward


@pytest.mark.ranks(2, 3)
def test_a_gradient_that_comes_when_it_was_sent_is_an_error_with_a_remedy(comm: Communicator) -> None:
    def build(comm: Communicator) -> Model:
        owner = layers.Dense(2, input_shape=(2,))
        owner.ensure_built((2,))
        return Sequential([layers.Dense(2, input_shape=(2,)), Tied(owner), owner, layers.Dense(1)], comm=comm)

    with pytest.raises(RuntimeError, match=r"'kernel' is written .* finished.*compile\(overlap=False\)"):
        trained(made(build, comm))
    assert_like_one_rank(comm, lambda comm: made(build, comm, overlap=False))


class Halved(optimizers.SGD):
    """Makes a whole update its own way."""

    def apply(self, parameters: np.ndarray, gradients: np.ndarray, divisor: float) -> None:  # type: ignore[override]
        super().apply(parameters, gradients, 2 * divisor)


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("per_machine", [1, 3])
def test_an_optimizer_with_an_update_of_its_own(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, per_machine: int
) -> None:
    machines(comm, monkeypatch, per_machine)
    assert_like_one_rank(comm, lambda comm: made(regularized, comm, Halved(0.1)))


# -- where a rank fails --------------------------------------------------------------------------------------------


class Faulty(layers.Layer):
    """Passes its input on, and fails on one rank, in one direction, in one step."""

    def __init__(self, comm: Communicator, where: str, rank: int) -> None:
        super().__init__()
        self.comm, self.where, self.rank, self.armed = comm, where, rank, False

    def output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def _pass(self, where: str) -> None:
        if self.armed and where == self.where and self.comm.rank == self.rank:
            raise ArithmeticError(f"no {where}")

    def forward(self, x: np.ndarray, context: layers.Context) -> Any:
        self._pass("forward")

        def backward(dy: np.ndarray) -> np.ndarray:
            self._pass("backward")
            return dy

        return x, backward


def faulty(comm: Communicator, where: str, rank: int, **options: Any) -> tuple[Model, Faulty]:
    layer = Faulty(comm, where, rank)
    first, *rest = chain()
    return made(lambda comm: Sequential([first, layer, *rest], comm=comm), comm, **options), layer


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("where", ["forward", "backward", "loss", "optimizer"])
@pytest.mark.parametrize("compression", [None, "bfloat16"])
@pytest.mark.parametrize("rank", ["first", "last"])
def test_a_failure_is_everybodys_and_leaves_nothing_under_way(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, where: str, compression: str | None, rank: str
) -> None:
    if compression:
        config.set_floatx("float32")
    failing = 0 if rank == "first" else comm.size - 1
    model, layer = faulty(comm, where, failing, compression=compression)
    trained(model)
    before = model.get_weights()
    layer.armed = True
    if where in ("loss", "optimizer") and comm.rank == failing:
        target, name = (model, "compute_loss") if where == "loss" else (model.optimizer, "update")

        def fail(*_: Any, **__: Any) -> None:
            raise ArithmeticError(f"no {where}")

        monkeypatch.setattr(target, name, fail)
    with pytest.raises(ArithmeticError, match=f"no {where}") as caught:
        trained(model)
    assert isinstance(caught.value, RemoteError) == (comm.rank != failing)
    assert len(set(comm.all_gather_object("alive"))) == 1
    monkeypatch.undo()
    layer.armed = False
    if where != "optimizer":
        for one, other in zip(model.get_weights(), before, strict=True):
            if one.shape != (30,):  # moving averages have moved
                np.testing.assert_array_equal(one, other)
    model.set_weights(before)
    assert np.isfinite(trained(model)["loss"]).all()


@pytest.mark.ranks(3, 4)
@pytest.mark.parametrize("where", ["forward", "backward"])
def test_a_failure_in_a_batch_of_which_some_ranks_have_no_rows(comm: Communicator, where: str) -> None:
    model, layer = faulty(comm, where, 0)
    trained(model)
    layer.armed = True
    x, y = line(2)
    with pytest.raises(ArithmeticError, match=f"no {where}"):
        model.fit(x, y, batch_size=2, verbose=0)
    layer.armed = False
    assert np.isfinite(model.fit(x, y, batch_size=2, verbose=0).history["loss"]).all()


@pytest.mark.ranks(2, 3)
def test_a_rank_elsewhere_is_found_before_a_sum_begins(comm: Communicator) -> None:
    model = made(used_twice, comm)
    x, y = line(8)
    model.fit(x, y, batch_size=8, verbose=0)
    with pytest.raises(RanksDiverged, match="begins the backward pass of a step of training"):
        if comm.rank == 0:
            model.train_step((x, y))
        else:
            model.evaluate(x, y, verbose=0)
    assert np.isfinite(model.fit(x, y, batch_size=8, verbose=0).history["loss"]).all()


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("compression", [None, "bfloat16"])
def test_a_failure_directly_behind_the_agreement_on_a_step(
    comm: Communicator, compression: str | None
) -> None:
    config.set_floatx("float32")

    class Refuses(Sequential):
        @property
        def stop_training(self) -> bool:
            return self.__dict__.get("stop", False)

        @stop_training.setter
        def stop_training(self, value: bool) -> None:
            if value and self.comm.rank == 1:
                raise ArithmeticError("no stop")
            self.__dict__["stop"] = value

    model = made(lambda comm: Refuses(chain(), comm=comm), comm, compression=compression)
    hook = LambdaCallback(on_train_batch_begin=lambda *_: vars(model).update(stop=comm.rank == 0))
    with pytest.raises(ArithmeticError, match="no stop"):
        trained(model, callbacks=[hook])
    comm.barrier()
