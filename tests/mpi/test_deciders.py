"""What callbacks decide is decided on all ranks, at the same step, as one process would have decided it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit import RemoteError, Sequential, data, layers, optimizers, utils
from distfit.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LearningRateScheduler,
    LearningRateWarmup,
    ModelCheckpoint,
    ReduceLROnPlateau,
    SwapEMAWeights,
    TerminateOnNaN,
    TimeLimit,
    on_root,
)
from distfit.checkpoint import read_arrays
from distfit.comm import Communicator
from distfit.engines import LossValue

ROWS, BATCH, EPOCHS = 22, 6, 8  # 4 batches an epoch, the last one of 4 rows
BAD_STEP = 9  # the second batch of the third epoch
nan = float("nan")


class NaNOnce(Sequential):
    """Its loss is NaN at one step, for one row: on the rank that holds it. The gradients are what they are."""

    bad_row: np.ndarray | None = None

    def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> LossValue:
        value = super().compute_loss(x, y, y_pred, sample_weight)
        is_bad = (
            self.progress.step == BAD_STEP and self.bad_row is not None and (x == self.bad_row).all(1).any()
        )
        return LossValue(nan if is_bad else value.total, value.weight, value.gradient)


def made(comm: Communicator, optimizer: Any = None) -> NaNOnce:
    utils.set_random_seed(7)
    model = NaNOnce([layers.Dense(4, activation="tanh", input_shape=(2,)), layers.Dense(1)], comm=comm)
    model.compile(optimizer or optimizers.SGD(0.3, momentum=0.5), loss="mse", metrics=["mae"])
    return model


def held(comm: Communicator, array: np.ndarray) -> data.LocalPart:
    """Return this rank's part; the parts are unequal, and the last rank's is the largest."""
    cuts = [len(array) * n * (n + 1) // (comm.size * (comm.size + 1)) for n in range(comm.size + 1)]
    return data.LocalPart(array[cuts[comm.rank] : cuts[comm.rank + 1]])


def clean(model: NaNOnce) -> dict[str, Any]:
    x, y = line(ROWS)
    return {"x": x, "y": y, "validation_split": 0.2}


def nan_in_one_step(model: NaNOnce) -> dict[str, Any]:
    x, y = line(ROWS)
    model.bad_row = x[8]
    return {"x": x, "y": y, "validation_data": line(7), "shuffle": False}


def nan_in_the_validation(model: NaNOnce) -> dict[str, Any]:
    (x, y), (validation_x, validation_y) = line(ROWS), line(7)
    validation_y[-1] = nan  # the last rank's
    parts = [held(model.comm, array) for array in (x, y, validation_x, validation_y)]
    return {"x": parts[0], "y": parts[1], "validation_data": tuple(parts[2:])}


def nan_in_the_training(model: NaNOnce) -> dict[str, Any]:
    x, y = line(ROWS)
    y[-1] = nan  # the last rank's, in the fourth batch
    return {"x": held(model.comm, x), "y": held(model.comm, y), "validation_data": line(7), "shuffle": False}


def trained(comm: Communicator, folder: Path, give: Any, listed: list[Any], **options: Any) -> NaNOnce:
    """Train, and let what was decided be the same on all ranks."""
    model = made(comm)
    with np.errstate(all="ignore"):
        model.fit(
            **{"batch_size": BATCH, "epochs": EPOCHS, "verbose": 0, **give(model), **options},
            callbacks=listed,
        )
    decided = [model.progress.step, model.stop_training, model.optimizer.learning_rate, model.history.epoch]
    assert comm.all_gather_object(decided) == [decided] * comm.size
    weights = b"".join(weight.tobytes() for weight in model.get_weights())
    assert comm.all_gather_object(weights) == [weights] * comm.size
    return model


def assert_same(here: Sequential, alone: Sequential) -> None:
    assert here.progress.step == alone.progress.step
    assert here.history.epoch == alone.history.epoch
    assert list(here.history.history) == list(alone.history.history)
    for key, values in alone.history.history.items():
        np.testing.assert_allclose(here.history.history[key], values, rtol=1e-3, err_msg=key)
    for weight, expected in zip(here.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=0, atol=1e-4)


def rows_of(path: Path) -> list[list[str]]:
    return [row.split(",") for row in path.read_text().splitlines()]


def assert_same_files(here: Path, alone: Path) -> None:
    names = sorted(path.name for path in alone.iterdir())
    assert sorted(path.name for path in here.iterdir()) == names
    assert names
    for name in names:
        if name.endswith(".csv"):
            table, expected = (rows_of(where / name) for where in (here, alone))
            assert table[0] == expected[0]
            numbers = [np.array(rows[1:], float) for rows in (table, expected)]
            np.testing.assert_allclose(*numbers, rtol=1e-3)
            continue
        arrays, expected_arrays = read_arrays(here / name)[0], read_arrays(alone / name)[0]
        assert arrays.keys() == expected_arrays.keys()
        for key, array in expected_arrays.items():
            np.testing.assert_allclose(arrays[key], array, rtol=0, atol=1e-4, err_msg=f"{name}: {key}")


@pytest.fixture
def folders(comm: Communicator | None, tmp_path: Path) -> tuple[Path, Path] | None:
    """A folder for all ranks, and one for this rank alone."""
    if comm is None:
        return None
    together = comm.broadcast_object(tmp_path) / "together"
    together.mkdir(exist_ok=True)
    lone = tmp_path / f"alone-{comm.rank}"
    lone.mkdir(exist_ok=True)
    comm.barrier()
    return together, lone


def stopping() -> EarlyStopping:
    return EarlyStopping("loss", patience=2, min_delta=0.02, restore_best_weights=True)


Listed = Callable[[Path], list[Any]]

LISTS: dict[str, Listed] = {
    "stopping": lambda folder: [
        stopping(),
        ModelCheckpoint(folder / "{epoch}.weights.npz", save_best_only=True),
    ],
    "plateau": lambda folder: [
        ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.05, cooldown=1),
        ModelCheckpoint(folder / "{epoch}-{batch}.weights.npz", save_freq=3),
    ],
    "by validation": lambda folder: [
        EarlyStopping(patience=3, restore_best_weights=True),
        ReduceLROnPlateau(factor=0.5, patience=1, min_delta=0.05),
    ],
    "schedule": lambda folder: [
        LearningRateScheduler(lambda epoch, rate: rate * 0.8),
        TerminateOnNaN(),
        ModelCheckpoint(
            folder / "{epoch}-{batch}.weights.npz", monitor="loss", save_best_only=True, save_freq=3
        ),
    ],
    "warmup": lambda folder: [LearningRateWarmup(epochs=2, reference_batch_size=12)],
}
GIVEN = [clean, nan_in_one_step, nan_in_the_validation, nan_in_the_training]


@pytest.mark.parametrize("give", GIVEN, ids=lambda give: give.__name__)
@pytest.mark.parametrize("listed", LISTS.values(), ids=LISTS)
def test_files_history_and_weights_are_those_of_one_process(
    comm: Communicator, folders: tuple[Path, Path], listed: Listed, give: Any
) -> None:
    together, lone = folders

    def logged(folder: Path) -> list[Any]:
        return [*listed(folder), CSVLogger(folder / "training.csv")]

    model = trained(comm, together, give, logged(together))
    expected = trained(Communicator.alone(), lone, give, logged(lone))
    assert_same(model, expected)
    assert_same_files(together, lone)
    comm.barrier()


def test_these_trainings_decide_something(comm: Communicator, folders: tuple[Path, Path]) -> None:
    """Or the comparisons above would compare little."""
    stop, reduce = stopping(), ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.05, cooldown=1)
    assert 2 < len(trained(comm, folders[0], clean, [stop]).history.epoch) < EPOCHS
    rates = trained(comm, folders[0], clean, [reduce]).history.history["learning_rate"]
    assert len(set(rates)) > 2
    losses = trained(comm, folders[0], nan_in_one_step, []).history.history["loss"]
    assert np.isnan(losses).tolist() == [False, False, True, *[False] * (EPOCHS - 3)]


def test_all_ranks_have_the_same_state_of_a_decider(comm: Communicator, folders: tuple[Path, Path]) -> None:
    listed = [stopping(), ReduceLROnPlateau("loss", factor=0.5, patience=1), LearningRateWarmup(epochs=1)]
    trained(comm, folders[0], nan_in_one_step, listed)
    states = [repr(callback.state_dict()) for callback in listed]
    assert comm.all_gather_object(states) == [states] * comm.size


@pytest.mark.parametrize(("give", "step"), [(nan_in_one_step, BAD_STEP + 1), (nan_in_the_training, 4)])
def test_a_loss_that_is_nan_on_one_rank_ends_training_on_all_at_that_step(
    comm: Communicator, folders: tuple[Path, Path], give: Any, step: int, capsys: pytest.CaptureFixture[str]
) -> None:
    model = trained(comm, folders[0], give, [TerminateOnNaN()])
    assert model.progress.step == step
    told = [f"Batch {(step - 1) % 4}: the loss is nan, training ends"] if comm.is_root else []
    assert capsys.readouterr().out.splitlines() == told


def test_or_raises_the_same_error_on_all(comm: Communicator) -> None:
    model = made(comm)
    with pytest.raises(RuntimeError, match="the loss is nan at batch 1") as caught:
        model.fit(
            **nan_in_one_step(model), batch_size=BATCH, epochs=5, verbose=0, callbacks=[TerminateOnNaN(True)]
        )
    assert not isinstance(caught.value, RemoteError)  # each rank found it by itself
    assert model.progress.step == BAD_STEP + 1


class Drawn:
    """A schedule that draws by chance, on each rank another number."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def __call__(self, epoch: int) -> float:
        return float(self._generator.uniform(0.01, 0.1))


@pytest.mark.parametrize("place", [lambda callback: callback, on_root], ids=["all", "root"])
def test_a_schedule_that_draws_by_chance_is_root_s(
    comm: Communicator, folders: tuple[Path, Path], place: Any
) -> None:
    model = trained(comm, folders[0], clean, [place(LearningRateScheduler(Drawn(comm.rank)))])
    expected = trained(Communicator.alone(), folders[1], clean, [LearningRateScheduler(Drawn(0))])
    again = Drawn(0)
    assert model.history.history["learning_rate"] == [again(epoch) for epoch in range(EPOCHS)]
    assert_same(model, expected)


def test_a_schedule_that_raises_on_one_rank_raises_on_all(comm: Communicator) -> None:
    def schedule(epoch: int, rate: float) -> float:
        if epoch == 2 and comm.rank == comm.size - 1:
            raise LookupError("no rate is known")
        return rate

    model = regression(comm)
    with pytest.raises(LookupError, match="no rate is known"):
        model.fit(*line(), epochs=4, verbose=0, callbacks=[LearningRateScheduler(schedule)])
    assert model.optimizer.iterations == 2


class EvaluatesOnRoot(Callback):
    """Looks at the averages on root alone, as everyone writes it."""

    ranks = "root"

    def __init__(self, swap: SwapEMAWeights) -> None:
        self.swap = swap
        self.values: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.values.append(self.model.evaluate(*line(), verbose=0, callbacks=[self.swap])[0])


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_averages_are_swapped_on_each_rank_alike(comm: Communicator, swap_on_epoch: bool) -> None:
    def fitted(group: Communicator) -> tuple[Any, list[float]]:
        model, swap = (
            made(group, optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8)),
            SwapEMAWeights(swap_on_epoch),
        )
        looks = EvaluatesOnRoot(swap)
        model.fit(**clean(model), batch_size=BATCH, epochs=3, verbose=0, callbacks=[swap, looks])
        return model, looks.values

    model, values = fitted(comm)
    expected, expected_values = fitted(Communicator.alone())
    assert_same(model, expected)
    assert values == (pytest.approx(expected_values, rel=1e-3) if comm.is_root else [])
    weights = b"".join(weight.tobytes() for weight in model.get_weights())
    assert comm.all_gather_object(weights) == [weights] * comm.size


# By the batch: three batches and the end of an epoch have taken four looks, and to go on would take two more.
@pytest.mark.parametrize(("check", "number", "epochs"), [("batch", 5, 1), ("epoch", 6, 5)])
def test_root_s_clock_ends_training_on_all_ranks(
    comm: Communicator,
    folders: tuple[Path, Path],
    check: Any,
    number: int,
    epochs: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SLURM_JOB_START_TIME", raising=False)
    looks: list[float] = []

    def clock() -> float:
        looks.append(1e6 * len(looks))  # each look is a million seconds after the one before
        return looks[-1]

    limit = TimeLimit(5.5e6, grace=0, check=check, clock=clock)
    model = trained(comm, folders[0], clean, [limit])
    assert len(looks) == (number if comm.is_root else 0)
    assert limit.is_over == comm.is_root
    assert len(model.history.epoch) == epochs
