"""Sums between machines of several ranks are under way while others are made, which is noticed by the speed alone."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from support.dense import INPUTS, Whole, chain, partly_frozen, rows_of_data
from support.machines import machines

from distfit import Model, RemoteError, Sequential, config, layers, metrics, optimizers, utils
from distfit.callbacks import LambdaCallback
from distfit.comm import Communicator
from distfit.comm.exchange import Exact
from distfit.engines import kernels
from distfit.layers import JointProduct
from distfit.training import sums_in_pieces
from distfit.training.machine_sums import MachineSums
from distfit.training.node_update import OnNode

ROWS = 37  # in batches of 8: the last has fewer rows than there may be ranks


@pytest.fixture(autouse=True)
def two_ranks_a_machine(comm: Communicator, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Parts take many pieces, which no row's length divides, and numbers are exact enough to compare."""
    if comm:  # None on a rank that the test does without
        machines(comm, monkeypatch, 2)
    monkeypatch.setattr(sums_in_pieces, "PIECE", 100)
    monkeypatch.setattr(kernels, "_SMALLEST", 1)
    config.set_floatx("float64")
    yield
    config.set_floatx("float32")


def convolutional() -> list[layers.Layer]:
    """Layers whose gradients each rank computes alone."""
    return [
        layers.Reshape((INPUTS, 1, 1), input_shape=(INPUTS,)),
        layers.Conv2D(9, (3, 1), activation="relu"),
        layers.Flatten(),
        layers.Dense(11, activation="relu"),
        layers.Dense(1),
    ]


PARTS: dict[str, Callable[[], list[layers.Layer]]] = {
    "regularized": chain,
    "wholly regularized": lambda: chain(Whole()),
    "partly frozen": partly_frozen,
    "convolutional": convolutional,
}

OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "SGD": lambda: optimizers.SGD(0.01, momentum=0.9),
    "AdamW": lambda: optimizers.AdamW(0.01, weight_decay=0.1),
    "clipnorm": lambda: optimizers.SGD(0.01, clipnorm=0.01),
    "global_clipnorm": lambda: optimizers.SGD(0.01, global_clipnorm=0.01),
    "LAMB": lambda: optimizers.Lamb(0.01),
    "averages": lambda: optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3),
}


def made(comm: Communicator, parts: Any = chain, optimizer: Any = None, **options: Any) -> Model:
    utils.set_random_seed(5)
    model = Sequential(parts(), comm=comm)
    model.compile(optimizer or optimizers.Adam(0.01), "mse", **options)
    return model


def trained(model: Model, **options: Any) -> list[float]:
    x, y = rows_of_data(ROWS)
    losses: list[float] = model.fit(x, y, batch_size=8, epochs=3, verbose=0, **options).history["loss"]
    return losses


def assert_like_one_rank(comm: Communicator, make: Callable[[Communicator], Model], **options: Any) -> Model:
    """Compare a training with that of one rank; and all ranks with each other, to the last bit."""
    together, alone = make(comm), make(Communicator.alone())
    np.testing.assert_allclose(trained(together, **options), trained(alone, **options), rtol=1e-9)
    for one, other in zip(alone.get_weights(), together.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-9)
    for array in (together.engine.parameters, *together.optimizer.state().values()):
        assert len(set(comm.all_gather_object(array.tobytes()))) == 1
    assert isinstance(together.update, OnNode)
    return together


@pytest.mark.ranks(3, 4)
@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("name", PARTS)
def test_any_model_gives_what_it_gives_on_one_rank(comm: Communicator, name: str, overlap: bool) -> None:
    """Of three ranks one has no counterpart on the other machine, and sums and updates nothing."""
    assert_like_one_rank(comm, lambda comm: made(comm, PARTS[name], overlap=overlap))


@pytest.mark.ranks(3, 4)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_gives_what_it_gives_on_one_rank(comm: Communicator, name: str) -> None:
    assert_like_one_rank(comm, lambda comm: made(comm, optimizer=OPTIMIZERS[name]()))


@pytest.mark.ranks(4)
@pytest.mark.parametrize(
    "options", [{"gradient_accumulation_steps": 3}, {"on_nan": "raise"}, {"divergence_every": 1}]
)
def test_what_compile_offers(comm: Communicator, options: dict[str, Any]) -> None:
    assert_like_one_rank(comm, lambda comm: made(comm, **options))


@pytest.mark.ranks(3, 4)
def test_bfloat16_follows_float32(comm: Communicator) -> None:
    config.set_floatx("float32")
    together = made(comm, optimizer=optimizers.SGD(0.05), compression="bfloat16")
    expected = trained(made(Communicator.alone(), optimizer=optimizers.SGD(0.05)))
    np.testing.assert_allclose(trained(together), expected, rtol=0.05)
    assert len(set(comm.all_gather_object(together.engine.parameters.tobytes()))) == 1


def order_of_a_training(model: Model, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return in which order products are computed, sums begun and waited for, and updates made."""
    heard: list[str] = []
    begin, wait, multiply, update = Exact.begin, Exact.wait, JointProduct.multiply, model.optimizer.update_run
    with monkeypatch.context() as patch:
        patch.setattr(Exact, "begin", lambda *args: heard.append("begin") or begin(*args))
        patch.setattr(Exact, "wait", lambda *args: heard.append("wait") or wait(*args))
        patch.setattr(
            JointProduct, "multiply", lambda *args, **kw: heard.append("product") or multiply(*args, **kw)
        )
        patch.setattr(model.optimizer, "update_run", lambda *args: heard.append("update") or update(*args))
        trained(model)
    return heard


@pytest.mark.ranks(4)
def test_sums_are_under_way_while_products_are_computed_and_updates_made(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizers.Adam, "chunk_size", 128)
    model = made(comm)
    trained(model)
    heard = order_of_a_training(model, monkeypatch)
    assert "product begin product begin" in " ".join(heard)
    assert "wait update wait" in " ".join(heard)


@pytest.mark.ranks(4)
def test_where_sums_may_not_overlap_all_products_come_first(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(comm, overlap=False)
    trained(model)
    assert "begin" not in order_of_a_training(model, monkeypatch)


@pytest.mark.ranks(4)
@pytest.mark.parametrize("compression", [None, "bfloat16"])
@pytest.mark.parametrize("rank", [0, 3])
@pytest.mark.parametrize("where", ["first", "last"])
def test_a_failure_between_two_sums_is_everybodys_and_leaves_the_weights_as_they_were(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, compression: str | None, rank: int, where: str
) -> None:
    if compression:
        config.set_floatx("float32")
    model = made(comm, compression=compression)
    trained(model)
    trained_ones = slice(model.engine.common)  # moving averages move
    before = model.engine.parameters[trained_ones].copy()
    multiply, calls = JointProduct.multiply, []

    def fail(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == (1 if where == "first" else 6):
            raise ArithmeticError("no product")
        return multiply(*args, **kwargs)

    with monkeypatch.context() as patch:
        if comm.rank == rank:
            patch.setattr(JointProduct, "multiply", fail)
        with pytest.raises(ArithmeticError, match="no product") as caught:
            trained(model)
    assert isinstance(caught.value, RemoteError) == (comm.rank != rank)
    np.testing.assert_array_equal(model.engine.parameters[trained_ones], before)
    assert not model.progress.torn
    assert np.isfinite(trained(model)).all()
    assert len(set(comm.all_gather_object(model.engine.parameters.tobytes()))) == 1


@pytest.mark.ranks(4)
def test_a_failure_in_the_update_leaves_no_sum_under_way(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(comm)
    trained(model)
    before = model.get_weights()

    def fail(*_: Any) -> None:
        raise ArithmeticError("no update")

    with monkeypatch.context() as patch:
        if comm.rank == 1:
            patch.setattr(model.optimizer, "update_run", fail)
        with pytest.raises(ArithmeticError, match="no update"):
            trained(model)
    model.set_weights(before)
    assert np.isfinite(trained(model)).all()


class Largest(metrics.Metric):
    """The largest error: a maximum, which no step's message carries. On one rank it has another shape."""

    def __init__(self) -> None:
        super().__init__("largest", direction="min")
        self.fields = {"error": metrics.Field((), "max")}

    def measure(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        errors = np.abs(y_true - y_pred)
        return {"error": np.zeros((2, 3, 4)) if Communicator.world().rank == 0 else errors.max()}

    def merge(self, state: Any, other: Any) -> Any:
        if np.shape(other["error"]):
            raise ArithmeticError("of another shape")
        return {"error": np.maximum(state["error"], other["error"])}

    def compute(self, state: Any) -> float:
        return float(state["error"])


@pytest.mark.ranks(2, 4)
@pytest.mark.parametrize("per_machine", [1, 2, 4])
@pytest.mark.parametrize(
    "options", [{}, {"share_memory": False}, {"compression": "bfloat16"}, {"overlap": False}]
)
def test_a_metric_that_fails_on_one_rank_fails_on_all(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, per_machine: int, options: dict[str, Any]
) -> None:
    config.set_floatx("float32")
    machines(comm, monkeypatch, per_machine)
    model = made(comm, metrics=[Largest()], **options)
    with pytest.raises(ArithmeticError, match="of another shape"):
        trained(model)
    comm.barrier()


@pytest.mark.ranks(2, 4)
@pytest.mark.parametrize("per_machine", [1, 2, 4])
@pytest.mark.parametrize(
    "options", [{}, {"share_memory": False}, {"compression": "bfloat16"}, {"overlap": False}]
)
def test_a_flag_that_cannot_be_set_on_one_rank_fails_on_all(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, per_machine: int, options: dict[str, Any]
) -> None:
    """Directly behind the agreement on a step, where others go on to a reduction."""
    config.set_floatx("float32")
    machines(comm, monkeypatch, per_machine)

    class Refuses(Sequential):
        @property
        def stop_training(self) -> bool:
            return bool(self.__dict__.get("stop", False))

        @stop_training.setter
        def stop_training(self, value: bool) -> None:
            if value and self.comm.rank == 1:
                raise ArithmeticError("no stop")
            self.__dict__["stop"] = value

    utils.set_random_seed(5)
    model = Refuses(chain(), comm=comm)
    model.compile("adam", "mse", **options)
    hook = LambdaCallback(on_train_batch_begin=lambda *_: vars(model).update(stop=comm.rank == 0))
    with pytest.raises(ArithmeticError, match="no stop"):
        trained(model, callbacks=[hook])
    comm.barrier()


@pytest.mark.ranks(4)
@pytest.mark.parametrize("compression", [None, "bfloat16"])
def test_an_interrupt_of_one_rank_behind_its_machines_sums_ends_all(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, compression: str | None
) -> None:
    """The others are in the message behind these, and begin no second transfer there."""
    if compression:
        config.set_floatx("float32")
    model = made(comm, compression=compression)
    trained(model)
    add_up, calls = MachineSums.add_up, []

    def interrupted(self: MachineSums, places: Any) -> None:
        add_up(self, places)
        calls.append(places)
        if len(calls) == len(model.update._between._pieces.pieces):
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        if comm.is_root:
            patch.setattr(MachineSums, "add_up", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trained(model)
    assert np.isfinite(trained(model)).all()


@pytest.mark.ranks(3, 4)
@pytest.mark.parametrize("fails", [False, True])
def test_a_clip_that_a_callback_sets_divides_the_update_anew(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """Where that fails on one rank, the others have begun no sums of which it knows nothing."""

    def clip(epoch: int, logs: Any) -> None:
        model.optimizer.clipnorm = 0.01

    model = made(comm)
    trained(model)
    expected = made(Communicator.alone())
    trained(expected)

    def fail(*_: Any) -> None:
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        if fails and comm.rank == 1:
            patch.setattr(Exact, "prepare", fail)
        if fails:
            with pytest.raises(MemoryError, match="no room"):
                trained(model, callbacks=[LambdaCallback(on_epoch_end=clip)])
            return
        found = trained(model, callbacks=[LambdaCallback(on_epoch_end=clip)])
    together, model = model, expected
    np.testing.assert_allclose(
        found, trained(model, callbacks=[LambdaCallback(on_epoch_end=clip)]), rtol=1e-9
    )
    assert together.update._in_wholes
