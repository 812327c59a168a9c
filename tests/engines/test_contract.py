"""What every engine has to keep: the promises, on any number of ranks."""

import collections
import functools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.engine_cases import ENGINES, MESSAGES_OF_STEP, first_kernel, rows
from support.equivalence import Trained, assert_same, fitted, floatx

from distfit import Model, callbacks, losses, optimizers
from distfit.comm import Communicator
from distfit.data import LocalPart
from distfit.errors import NonFiniteNumbers, RankDivergence, RemoteError

BATCH, EPOCHS = 32, 3
EXACT = collections.defaultdict(lambda: 1e-10, keras=1e-5)  # whose batch normalization computes in float32
ENGINE = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture(autouse=True)
def in_double_precision() -> Iterator[None]:
    with floatx("float64"):
        yield


@pytest.fixture
def folder(comm: Communicator | None, tmp_path: Path) -> Path | None:
    """One folder for all ranks: root's."""
    return None if comm is None else comm.broadcast_object(tmp_path)


def compiled(engine: str, comm: Communicator, *, frozen: bool = False, **options: Any) -> Model:
    model = ENGINES[engine](comm, frozen=frozen)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    # A large epsilon, since Adam makes of a gradient of pure rounding a whole step.
    optimizer = optimizers.Adam(0.01, epsilon=1e-3)
    model.compile(**{"optimizer": optimizer, "loss": loss, "metrics": ["accuracy"], **options})
    return model


# -- any number of ranks is one rank ----------------------------------------------------------------------------------

CASES = ("ragged", "fewer rows than ranks", "sample_weight", "accumulation", "frozen")


def train(comm: Communicator, engine: str, case: str) -> Trained:
    x, y = rows(2 * BATCH + 1 if case == "fewer rows than ranks" else 103)
    model = compiled(
        engine,
        comm,
        frozen=case == "frozen",
        gradient_accumulation_steps=2 if case == "accumulation" else None,
    )
    options: dict[str, Any] = {"batch_size": BATCH, "epochs": EPOCHS}
    if case == "sample_weight":
        options["sample_weight"] = np.random.default_rng(1).uniform(0.5, 2.0, len(x))
    elif case != "fewer rows than ranks":
        options["validation_split"] = 0.1
    return fitted(model, x, y, **options)


def of_one_rank(engine: str, case: str) -> Trained:
    with floatx("float64"):
        return train(Communicator.alone(), engine, case)


alone = functools.cache(of_one_rank)


@ENGINE
@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("case", CASES)
def test_any_number_of_ranks_trains_as_one(comm: Communicator, engine: str, case: str) -> None:
    assert_same(train(comm, engine, case), alone(engine, case), EXACT[engine])


@ENGINE
@pytest.mark.ranks(3)
def test_parts_of_any_size_train_as_one(comm: Communicator, engine: str) -> None:
    x, y = rows(103)
    part = [slice(0, 70), slice(70, 70), slice(70, 103)][comm.rank]
    model = compiled(engine, comm)
    here = fitted(model, LocalPart(x[part]), LocalPart(y[part]), batch_size=BATCH, epochs=EPOCHS)
    expected = fitted(compiled(engine, Communicator.alone()), x, y, batch_size=BATCH, epochs=EPOCHS)
    assert_same(here, expected, EXACT[engine])


@ENGINE
def test_predictions_and_evaluation_are_those_of_one_rank(comm: Communicator, engine: str) -> None:
    x, y = rows(103)
    here, expected = compiled(engine, comm), compiled(engine, Communicator.alone())
    np.testing.assert_allclose(here.predict(x, verbose=0), expected.predict(x, verbose=0), rtol=EXACT[engine])
    np.testing.assert_allclose(
        here.evaluate(x, y, verbose=0), expected.evaluate(x, y, verbose=0), rtol=EXACT[engine]
    )


# -- what happens during training -------------------------------------------------------------------------------------


class StopAt(callbacks.Callback):
    ranks = "root"

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.model.stop_training = batch == 1


@ENGINE
def test_root_stops_all_ranks(comm: Communicator, engine: str) -> None:
    model = compiled(engine, comm)
    model.fit(*rows(103), batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[StopAt()])
    assert model.progress.step == 2


class WriteWeights(callbacks.Callback):
    ranks = "root"

    def on_train_end(self, logs: Any = None) -> None:
        self.model.set_weights([np.full_like(weight, 2) for weight in self.model.get_weights()])


@ENGINE
def test_weights_that_root_writes_hold_on_all_ranks(comm: Communicator, engine: str) -> None:
    model = compiled(engine, comm)
    model.fit(*rows(64), batch_size=BATCH, verbose=0, callbacks=[WriteWeights()])
    assert all((weight == 2).all() for weight in model.get_weights())


@ENGINE
def test_frozen_weights_stay(comm: Communicator, engine: str) -> None:
    model = compiled(engine, comm, frozen=True)
    before, last = first_kernel(model), model.get_weights()[-1]
    model.fit(*rows(64), batch_size=BATCH, verbose=0)
    np.testing.assert_array_equal(first_kernel(model), before)
    assert not np.array_equal(model.get_weights()[-1], last)


class BadRows(callbacks.Callback):
    """Makes the last rank's loss fail in the third step."""

    def on_train_begin(self, logs: Any = None) -> None:
        usual = self.model.compute_loss

        def compute_loss(*args: Any) -> Any:
            if self.model.comm.rank == self.model.comm.size - 1 and self.model.progress.step == 2:
                raise ArithmeticError("no loss")
            return usual(*args)

        self.model.compute_loss = compute_loss

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.last = self.model.get_weights()


@ENGINE
def test_an_error_on_one_rank_is_one_on_all_and_changes_nothing(comm: Communicator, engine: str) -> None:
    model, bad = compiled(engine, comm), BadRows()
    with pytest.raises(ArithmeticError, match="no loss") as caught:
        model.fit(*rows(103), batch_size=BATCH, verbose=0, callbacks=[bad])
    assert isinstance(caught.value, RemoteError) == (comm.rank < comm.size - 1)
    trained = [v.trainable for v in model.engine.variables]
    for weight, before, is_trained in zip(model.get_weights(), bad.last, trained, strict=True):
        assert not is_trained or np.array_equal(weight, before)
    del model.compute_loss
    model.fit(*rows(64), batch_size=BATCH, verbose=0)


@ENGINE
@pytest.mark.ranks(2, 3)
def test_a_weight_that_changes_on_one_rank_alone_is_found(comm: Communicator, engine: str) -> None:
    class Flip(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.model.comm.rank == 1:
                self.model.engine.parameters[0] += 1

    with pytest.raises(RankDivergence, match="rank 1"):
        compiled(engine, comm).fit(*rows(64), batch_size=BATCH, verbose=0, callbacks=[Flip()])


def poisoned() -> tuple[np.ndarray, np.ndarray]:
    x, y = rows(64)
    x[63, 1] = np.nan
    return x, y


@ENGINE
def test_nan_is_traced_to_its_row(comm: Communicator, engine: str) -> None:
    model = compiled(engine, comm, on_nan="raise")
    with pytest.raises(NonFiniteNumbers, match=r"first in x.*row 63 of the data set"):
        model.fit(*poisoned(), batch_size=BATCH, verbose=0, shuffle=False)


@ENGINE
@pytest.mark.filterwarnings("ignore:the loss or the gradients")
def test_a_step_with_nan_leaves_nothing_behind(comm: Communicator, engine: str) -> None:
    x, y = poisoned()
    model, expected = compiled(engine, comm, on_nan="skip"), compiled(engine, comm)
    model.fit(x, y, batch_size=BATCH, verbose=0, shuffle=False)
    expected.fit(x[:BATCH], y[:BATCH], batch_size=BATCH, verbose=0, shuffle=False)
    assert model.numerics.skipped == 1
    for weight, other in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


class Messages(callbacks.Callback):
    """Counts the small messages of an epoch, up to its last step."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start = self.model.comm.agreement.messages

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.count = self.model.comm.agreement.messages - self.start


@ENGINE
@pytest.mark.ranks(2, 4)
def test_a_step_takes_few_messages(comm: Communicator, engine: str) -> None:
    counts = []
    for steps in (1, 3):  # whose last one is of one row, so that some ranks have none
        model, messages = compiled(engine, comm), Messages()
        model.fit(*rows(BATCH * (steps - 1) + 1), batch_size=BATCH, verbose=0, callbacks=[messages])
        counts.append(messages.count)
    assert counts[1] - counts[0] == 2 * MESSAGES_OF_STEP[engine]


# -- files ------------------------------------------------------------------------------------------------------------


@ENGINE
def test_weights_come_back_from_a_file(comm: Communicator, engine: str, folder: Path) -> None:
    model = compiled(engine, comm)
    model.fit(*rows(64), batch_size=BATCH, verbose=0)
    model.save_weights(folder / "all.safetensors", include_optimizer=True)
    other = compiled(engine, comm)
    other.load_weights(folder / "all.safetensors")
    for _ in range(2):
        for weight, expected in zip(other.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, expected)
        for one in (model, other):
            one.progress.step = 5  # on which dropout depends, and no file of weights tells it
            one.fit(*rows(64), batch_size=BATCH, verbose=0, shuffle=False)


class PowerCut(callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.model.progress.step == 6:
            raise OSError("power cut")


def optimizer_kinds(engine: str) -> list[Any]:
    kinds: list[Any] = ["adam", optimizers.SGD(0.05, momentum=0.9)]
    if engine == "torch":
        from torch import optim

        kinds += [
            optim.Adam,
            functools.partial(optim.SGD, lr=0.05, momentum=0.9, dampening=0.1),
            optim.Adagrad,
        ]
    if engine == "jax":
        import optax

        kinds = [optax.adam(0.01), optax.inject_hyperparams(optax.sgd)(learning_rate=0.05, momentum=0.9)]
    if engine == "keras":
        import keras

        kinds = [keras.optimizers.AdamW(0.01), keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True)]
    return kinds


@pytest.mark.parametrize(
    ("engine", "number"), [(name, i) for name in ENGINES for i in range(len(optimizer_kinds(name)))]
)
@pytest.mark.ranks(1, 3)
def test_training_goes_on_as_if_it_had_never_stopped(
    comm: Communicator, engine: str, number: int, folder: Path
) -> None:
    def run(*extra: callbacks.Callback) -> Trained:
        model = compiled(engine, comm, optimizer=optimizer_kinds(engine)[number])
        return fitted(model, *rows(103), batch_size=BATCH, epochs=EPOCHS, callbacks=list(extra))

    def backup() -> callbacks.Callback:
        return callbacks.BackupAndRestore(folder, save_freq=1)

    with pytest.raises(OSError, match="power cut"):
        run(backup(), PowerCut())
    history, weights = run(backup())
    expected_history, expected = run()
    assert history == expected_history
    for weight, other in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(weight, other)


@ENGINE
@pytest.mark.ranks(2, 3)
def test_it_goes_on_at_another_number_of_ranks(comm: Communicator, engine: str, tmp_path: Path) -> None:
    folder = comm.broadcast_object(tmp_path) / "of all ranks"

    def run(group: Communicator, *extra: callbacks.Callback) -> Trained:
        model = compiled(engine, group)
        return fitted(model, *rows(103), batch_size=BATCH, epochs=EPOCHS, callbacks=list(extra))

    with pytest.raises(OSError, match="power cut"):
        run(comm, callbacks.BackupAndRestore(folder, save_freq=1), PowerCut())
    comm.barrier()
    mine = tmp_path / "of one rank"
    shutil.copytree(folder, mine)
    went_on = run(Communicator.alone(), callbacks.BackupAndRestore(mine))
    comm.barrier()  # others may copy still
    assert_same(went_on, run(Communicator.alone()), EXACT[engine])
