"""The ranks of a machine hold one copy of what they train, and nobody notices but by its speed."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from support.machines import machines, no_memory_for_gradients
from support.small import line, regression

from distfit import Model, Sequential, config, layers, optimizers, utils
from distfit.callbacks import LambdaCallback, SwapEMAWeights
from distfit.comm import Communicator, memory_file
from distfit.engines import kernels
from distfit.errors import RanksDiverged
from distfit.layers import regularizers
from distfit.training.node_update import OnNode
from distfit.training.update import Everywhere

ROWS = 35  # in batches of 8: the last has fewer than four ranks


@pytest.fixture(autouse=True)
def float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Adam makes of a rounding error near zero a step of full size: in float32 curves part soon."""
    monkeypatch.setattr(kernels, "_SMALLEST", 1)  # so that gradients are computed together, as large ones are
    config.set_floatx("float64")
    yield
    config.set_floatx("float32")


def model_of(comm: Communicator, optimizer: Any = None, **compile_options: Any) -> Sequential:
    utils.set_random_seed(5)
    model = Sequential(
        [
            layers.Dense(70, activation="relu", input_shape=(2,), kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(40, activation="tanh"),
            layers.Dense(1),
        ],
        comm=comm,
    )
    model.compile(optimizer or optimizers.Adam(0.01), "mse", **compile_options)
    return model


def trained(model: Sequential, *, epochs: int = 2, **options: Any) -> dict[str, list[float]]:
    x, y = line(ROWS)
    history = model.fit(
        x, y, batch_size=8, epochs=epochs, verbose=0, validation_data=(x[:11], y[:11]), **options
    )
    return history.history


def assert_like_one_rank(comm: Communicator, make: Any, *, rtol: float = 1e-9, **options: Any) -> Sequential:
    """Compare a training with that of one rank; and all ranks with each other, to the last bit."""
    alone, together = make(Communicator.alone()), make(comm)
    expected, found = trained(alone, **options), trained(together, **options)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=rtol, err_msg=name)
    for one, other in zip(alone.get_weights(), together.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=rtol, atol=rtol)
    for array in (together.engine.parameters, *together.optimizer.state().values()):
        assert len(set(comm.all_gather_object(array.tobytes()))) == 1
    return together


OPTIMIZERS = {
    "Adam": lambda: optimizers.Adam(0.01),
    "amsgrad": lambda: optimizers.Adam(0.01, amsgrad=True),
    "AdamW": lambda: optimizers.AdamW(0.01, weight_decay=0.1),
    "SGD": lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "clipvalue": lambda: optimizers.SGD(0.01, clipvalue=0.01),
    "clipnorm": lambda: optimizers.SGD(0.01, clipnorm=0.01),
    "global_clipnorm": lambda: optimizers.SGD(0.01, global_clipnorm=0.01),
    "LAMB": lambda: optimizers.Lamb(0.01),
    "LARS": lambda: optimizers.LARS(0.01),
    "averages": lambda: optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3),
}


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_gives_what_it_gives_on_one_rank(comm: Communicator, name: str) -> None:
    model = assert_like_one_rank(comm, lambda comm: model_of(comm, OPTIMIZERS[name]()))
    assert isinstance(model.update, OnNode)


@pytest.mark.ranks(3, 4)
@pytest.mark.parametrize("name", ["Adam", "global_clipnorm", "LAMB"])
@pytest.mark.parametrize("per_machine", [2, 3])
def test_on_several_machines_ranks_with_the_same_part_reduce_it(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, name: str, per_machine: int
) -> None:
    """With three ranks on two machines one of them has no counterpart, and updates nothing."""
    machines(comm, monkeypatch, per_machine)
    assert_like_one_rank(comm, lambda comm: model_of(comm, OPTIMIZERS[name]()))


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize(
    "options",
    [{"gradient_accumulation_steps": 3}, {"on_nan": "raise"}, {"on_nan": "skip", "divergence_every": 1}],
)
def test_what_compile_offers(comm: Communicator, options: dict[str, Any]) -> None:
    assert_like_one_rank(comm, lambda comm: model_of(comm, **options))


@pytest.mark.ranks(2, 3)
def test_float32(comm: Communicator) -> None:
    config.set_floatx("float32")
    assert_like_one_rank(comm, lambda comm: model_of(comm, optimizers.SGD(0.01)), rtol=1e-4)


@pytest.mark.ranks(2, 3, 4)
def test_without_shared_memory_the_numbers_are_the_same_to_rounding(comm: Communicator) -> None:
    model = assert_like_one_rank(comm, lambda comm: model_of(comm, share_memory=False))
    assert isinstance(model.update, Everywhere)


@pytest.mark.ranks(2, 3)
def test_other_weights_while_a_rank_works_alone_are_its_own(comm: Communicator) -> None:
    """What one rank puts in place for an evaluation of its own, no other sees, and nothing is left of it."""
    model, (x, y) = regression(comm), line()
    seen: list[float] = []

    def look(epoch: int, logs: Any) -> None:
        with model.solo():
            own = model.get_weights()
            if comm.rank == comm.size - 1:
                model.set_weights([weight * 0 for weight in own])
            seen.append(model.evaluate(x, y, verbose=0, return_dict=True)["loss"])
            if comm.rank == comm.size - 1:
                model.set_weights(own)

    plain = regression(comm)
    expected = plain.fit(x, y, batch_size=4, epochs=3, verbose=0).history["loss"]
    found = model.fit(x, y, batch_size=4, epochs=3, verbose=0, callbacks=[LambdaCallback(on_epoch_end=look)])
    assert found.history["loss"] == expected
    losses = comm.all_gather_object(seen)
    assert (
        losses[0]
        == losses[comm.size - 2]
        != losses[-1]
        == pytest.approx([float((y**2).mean())] * 3, rel=1e-5)
    )


@pytest.mark.ranks(2, 3)
def test_averages_that_are_put_in_place_for_an_evaluation(comm: Communicator) -> None:
    def make(comm: Communicator) -> Sequential:
        return model_of(comm, optimizers.SGD(0.05, use_ema=True, ema_momentum=0.8))

    assert_like_one_rank(comm, make, callbacks=[SwapEMAWeights(swap_on_epoch=True)], epochs=3)


@pytest.mark.ranks(2, 3, 4)
def test_weights_that_root_sets_between_and_in_trainings(comm: Communicator) -> None:
    def make(comm: Communicator) -> Sequential:
        return model_of(comm)

    def halve(model: Any) -> None:
        model.set_weights([weight * 0.5 for weight in model.get_weights()])

    def train(model: Sequential) -> list[float]:
        callback = LambdaCallback(
            ranks="root", on_train_batch_end=lambda batch, logs: batch == 1 and halve(callback.model)
        )
        losses = trained(model, callbacks=[callback])["loss"]
        if model.comm.is_root:
            halve(model)
        model.compile(optimizers.SGD(0.01), "mse")  # another optimizer, with other slots
        return losses + trained(model)["loss"]

    np.testing.assert_allclose(train(make(comm)), train(make(Communicator.alone())), rtol=1e-9)


# -- what two ways of writing and reading weights could make differ ---------------------------------------------------


def on_batches_behind_averages(comm: Communicator) -> list[float]:
    """The averages, which a training has left in the weights' place, and those of an evaluation, are written alone."""
    model, (x, y) = model_of(comm, optimizers.SGD(0.05, use_ema=True, ema_momentum=0.5)), line()
    losses = model.fit(x, y, batch_size=4, verbose=0).history["loss"]
    for _ in range(3):
        losses.append(model.train_on_batch(x, y))
        model.evaluate(x, y, verbose=0, callbacks=[SwapEMAWeights()])
    return losses + model.fit(x, y, batch_size=4, epochs=2, verbose=0).history["loss"]


def layers_of_two_models(comm: Communicator) -> list[float]:
    utils.set_random_seed(3)
    x, shared = layers.Input((2,)), layers.Dense(8, activation="tanh")
    hidden = shared(x)
    models = [Model(x, layers.Dense(units)(hidden), comm=comm) for units in (1, 2)]
    inputs, targets = line()
    for model in models:
        model.compile(optimizers.SGD(0.05, momentum=0.5), "mse")
    in_turn = list(zip(models, (targets, inputs), strict=True)) * 4
    return [model.train_on_batch(inputs, y) for model, y in in_turn]


def an_optimizer_of_two_models(comm: Communicator) -> list[float]:
    optimizer, (x, y) = optimizers.SGD(0.05, momentum=0.9), line()
    in_turn = [regression(comm, optimizer=optimizer) for _ in range(2)] * 3
    return [model.fit(x, y, batch_size=4, verbose=0).history["loss"][0] for model in in_turn]


def frozen_and_compiled_again(comm: Communicator) -> list[float]:
    model, (x, y) = model_of(comm, optimizers.SGD(0.05, momentum=0.9)), line()
    losses = model.fit(x, y, batch_size=4, verbose=0).history["loss"]
    model.layers[0].trainable = False
    kernel = model.get_weights()[0]
    model.compile(model.optimizer, "mse")
    losses += model.fit(x, y, batch_size=4, verbose=0).history["loss"]
    np.testing.assert_array_equal(model.get_weights()[0], kernel)
    return losses


def a_clip_set_later(comm: Communicator) -> list[float]:
    model, (x, y) = model_of(comm, optimizers.SGD(0.5)), line()
    losses = model.fit(x, y, batch_size=4, verbose=0).history["loss"]
    model.optimizer.clipnorm = 0.02
    return losses + model.fit(x, y, batch_size=4, epochs=2, verbose=0).history["loss"]


class Orthogonal(regularizers.Regularizer):
    """Its gradient at an element depends on all others."""

    def penalty(self, weight: np.ndarray) -> float:
        return float(((weight.T @ weight - np.eye(weight.shape[1])) ** 2).sum())

    def gradient(self, weight: np.ndarray) -> np.ndarray:
        return 4 * weight @ (weight.T @ weight - np.eye(weight.shape[1]))


def a_penalty_on_the_whole(comm: Communicator) -> list[float]:
    utils.set_random_seed(3)
    hidden = layers.Dense(64, kernel_regularizer=Orthogonal())
    model = Sequential([layers.Dense(64, input_shape=(2,)), hidden, layers.Dense(1)], comm=comm)
    model.compile(optimizers.SGD(0.001), "mse")
    return model.fit(*line(), batch_size=4, epochs=3, verbose=0).history["loss"]


def weights_written_in_a_step(comm: Communicator) -> list[float]:
    class Clamped(Sequential):
        def train_step(self, data: Any) -> Any:
            weights = self.engine.parameters
            np.clip(weights, -0.4, 0.4, out=weights)
            return super().train_step(data)

    utils.set_random_seed(3)
    model = Clamped([layers.Dense(8, activation="tanh", input_shape=(2,)), layers.Dense(1)], comm=comm)
    model.compile(optimizers.SGD(0.1, momentum=0.9), "mse")
    return model.fit(*line(), batch_size=4, epochs=3, verbose=0).history["loss"]


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize(
    "losses",
    [
        on_batches_behind_averages,
        layers_of_two_models,
        an_optimizer_of_two_models,
        frozen_and_compiled_again,
        a_clip_set_later,
        a_penalty_on_the_whole,
        weights_written_in_a_step,
    ],
)
def test_numbers_of_one_rank(comm: Communicator, losses: Callable[[Communicator], list[float]]) -> None:
    np.testing.assert_allclose(losses(comm), losses(Communicator.alone()), rtol=1e-9)


@pytest.mark.ranks(2, 3)
def test_an_interrupt_in_an_update_leaves_it_whole(comm: Communicator) -> None:
    class Interrupted(optimizers.SGD):
        def apply_part(self, *args: Any, **options: Any) -> None:
            super().apply_part(*args, **options)
            if self.iterations == 2 and comm.rank == comm.size - 1:
                os.kill(os.getpid(), signal.SIGINT)

    model = regression(comm, optimizer=Interrupted(0.05))
    with pytest.raises(KeyboardInterrupt):
        model.fit(*line(), batch_size=4, verbose=0)
    assert not model.progress.torn
    assert model.optimizer.iterations == 2


@pytest.mark.ranks(2, 3)
def test_a_rank_that_fails_where_weights_are_placed_fails_all_of_them_once(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError("no room")

    model = regression(comm)
    with monkeypatch.context() as patch:
        if comm.rank == 1:
            patch.setattr(model.engine, "move", fail)
        with pytest.raises(MemoryError):
            model.fit(*line(), batch_size=4, verbose=0)
    assert model.fit(*line(), batch_size=4, verbose=0).history["loss"][0] > 0


# -- where it cannot be had -------------------------------------------------------------------------------------------


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("rank", [0, -1])
@pytest.mark.parametrize("what", ["make", "reserve", "open"])
def test_where_memory_cannot_be_shared_root_says_so_once_and_each_rank_has_a_copy(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, capfd: Any, what: str, rank: int
) -> None:
    def fail(*_: Any) -> Any:
        raise OSError("no memory for it")

    if comm.rank == rank % comm.size:
        if what == "make":
            monkeypatch.setattr(os, "memfd_create", fail)
        elif what == "reserve":
            monkeypatch.setattr(os, "posix_fallocate", fail)
        else:
            monkeypatch.setattr(memory_file.Place, "open", fail)
    fails = {"make": rank == 0, "reserve": True, "open": rank != 0}[what]
    monkeypatch.setattr(comm, "_announced", set())
    model = assert_like_one_rank(comm, lambda comm: model_of(comm))
    assert isinstance(model.update, Everywhere if fails else OnNode)
    told = capfd.readouterr().err
    assert told.count("could not share memory: OSError: no memory for it") == (fails and comm.is_root)


@pytest.mark.ranks(2, 3)
def test_where_there_is_memory_for_weights_and_none_for_gradients_each_rank_has_a_copy(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    no_memory_for_gradients(monkeypatch)
    monkeypatch.setattr(comm, "_announced", set())
    model = assert_like_one_rank(comm, lambda comm: model_of(comm))
    assert isinstance(model.update, Everywhere)
    told = capfd.readouterr().err
    assert told.count("could not share memory: OSError: no memory for it") == comm.is_root


@pytest.mark.ranks(2, 3)
def test_a_model_without_weights(comm: Communicator) -> None:
    model = Sequential([layers.Rescaling(0.5, input_shape=(2,)), layers.Activation("tanh")], comm=comm)
    model.compile("adam", "mse")
    x, _ = line()
    losses = model.fit(x, x, batch_size=4, epochs=2, verbose=0).history["loss"]
    assert losses[0] == pytest.approx(float(((np.tanh(x / 2) - x) ** 2).mean()), rel=1e-5)


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("ranks", ["root", "all"])
@pytest.mark.parametrize("per_machine", [1, 3])
def test_a_model_of_some_of_the_layers_is_asked_in_a_callback(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, ranks: Any, per_machine: int
) -> None:
    """It is never trained, and takes no weights from the one that is."""
    machines(comm, monkeypatch, per_machine)

    def fitted(comm: Communicator) -> tuple[list[float], Model, list[np.ndarray]]:
        utils.set_random_seed(5)
        x, hidden = layers.Input((2,)), layers.Dense(50, activation="tanh")
        features = hidden(x)
        model = Model(x, layers.Dense(1)(features), comm=comm)
        model.compile(optimizers.SGD(0.05), "mse")
        extractor, seen = Model(x, features, comm=comm), []
        rows, y = line(ROWS)
        hook = LambdaCallback(
            ranks=ranks, on_epoch_end=lambda *_: seen.append(extractor.predict(rows, verbose=0))
        )
        losses = model.fit(rows, y, batch_size=8, epochs=3, verbose=0, callbacks=[hook]).history["loss"]
        return losses, model, seen

    (expected, _, seen_alone), (found, model, seen) = fitted(Communicator.alone()), fitted(comm)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    if seen:
        np.testing.assert_allclose(seen, seen_alone, rtol=1e-9)
    assert isinstance(model.update, OnNode if per_machine == 3 else Everywhere)


@pytest.mark.ranks(2, 3)
def test_a_model_that_root_alone_compiles_of_layers_that_are_trained_is_an_error_and_no_hang(
    comm: Communicator,
) -> None:
    model = model_of(comm)

    def probe(*_: Any) -> None:
        other = Sequential([model.layers[0], layers.Dense(1)], comm=comm)
        other.compile("sgd", "mse")

    with pytest.raises(RanksDiverged, match="weights that another model has taken"):
        trained(model, callbacks=[LambdaCallback(ranks="root", on_epoch_end=probe)])


@pytest.mark.ranks(2)
def test_groups_that_are_closed_leave_nothing_of_mpi_behind(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MPICH has 2,048 communicators: a seventh of that many groups ended the program once."""
    rows, y = line(4)
    for _ in range(420):
        part = comm.split(0)
        assert part is not None
        machines(part, monkeypatch, 1)
        model = regression(part)
        model.train_step((rows, y))
        part.close()
