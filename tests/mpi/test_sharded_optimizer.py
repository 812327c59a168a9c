"""Each machine holds a shard of the optimizer's state, and nobody notices but by his memory, and who reads it when."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.dense import INPUTS, Whole, chain, partly_frozen, rows_of_data
from support.machines import machines, no_memory_for_gradients

from distfit import Model, RemoteError, Sequential, config, layers, optimizers, utils
from distfit.callbacks import BackupAndRestore, Callback, LambdaCallback, ModelCheckpoint
from distfit.comm import Communicator, memory_file
from distfit.engines import kernels
from distfit.training import sharded
from distfit.training.node_update import OnNode
from distfit.training.update import Alone, Everywhere

ROWS = 37  # in batches of 8: the last has fewer rows than there may be ranks


@pytest.fixture(autouse=True)
def float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(kernels, "_SMALLEST", 1)
    monkeypatch.setattr(sharded, "_PIECE", 100)
    config.set_floatx("float64")
    yield
    config.set_floatx("float32")


@pytest.fixture
def folder(comm: Communicator | None, tmp_path: Path) -> Path:
    """Return root's folder, on all ranks."""
    return tmp_path if comm is None else Path(comm.broadcast_object(str(tmp_path)))


def tiny() -> list[layers.Layer]:
    """Fewer weights than the ranks' shards are aligned to: some have none."""
    return [layers.Dense(1, input_shape=(INPUTS,))]


PARTS: dict[str, Callable[[], list[layers.Layer]]] = {
    "regularized": chain,
    "wholly regularized": lambda: chain(Whole()),
    "partly frozen": partly_frozen,
    "tiny": tiny,
}

OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "SGD": lambda: optimizers.SGD(0.01, momentum=0.9),
    "Adagrad": lambda: optimizers.Adagrad(0.05, initial_accumulator_value=0.3),
    "AdamW": lambda: optimizers.AdamW(0.01, weight_decay=0.1),
    "clipvalue": lambda: optimizers.Adam(0.01, clipvalue=0.01),
    "global_clipnorm": lambda: optimizers.SGD(0.01, momentum=0.5, global_clipnorm=0.01),
}


def made(comm: Communicator, parts: Any = chain, optimizer: Any = None, **options: Any) -> Model:
    utils.set_random_seed(5)
    model = Sequential(parts(), comm=comm)
    model.compile(optimizer or optimizers.Adam(0.01), "mse", **{"shard_optimizer": True, **options})
    return model


def trained(model: Model, *, epochs: int = 3, **options: Any) -> list[float]:
    x, y = rows_of_data(ROWS)
    losses: list[float] = model.fit(
        x, y, batch_size=8, epochs=epochs, verbose=0, validation_data=(x[:5], y[:5]), **options
    ).history["loss"]
    return losses


def assert_same_weights(comm: Communicator, found: Model, expected: Model) -> None:
    for one, other in zip(expected.get_weights(), found.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-9)
    assert len(set(comm.all_gather_object(found.engine.parameters.tobytes()))) == 1


def assert_like_one_rank(comm: Communicator, make: Callable[[Communicator], Model], **options: Any) -> Model:
    """Compare weights, losses, and on root the optimizer's state, with those of one rank."""
    together, alone = make(comm), make(Communicator.alone())
    np.testing.assert_allclose(trained(together, **options), trained(alone, **options), rtol=1e-9)
    assert_same_weights(comm, together, alone)
    assert_state_of_root(comm, together, alone)
    return together


def assert_state_of_root(comm: Communicator, together: Model, alone: Model) -> None:
    if comm.is_root:
        expected = alone.optimizer.state()
        for name, array in together.optimizer.state().items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-9, atol=1e-9, err_msg=name)
    comm.barrier()


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("per_machine", [1, 2, 3])
@pytest.mark.parametrize("name", PARTS)
def test_any_model_gives_what_it_gives_on_one_rank(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, name: str, per_machine: int
) -> None:
    machines(comm, monkeypatch, per_machine)
    model = assert_like_one_rank(comm, lambda comm: made(comm, PARTS[name]))
    assert isinstance(model.update, OnNode if comm.size > 1 else Alone)


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_gives_what_it_gives_on_one_rank(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    machines(comm, monkeypatch, 2 if comm.size == 4 else 1)
    assert_like_one_rank(comm, lambda comm: made(comm, optimizer=OPTIMIZERS[name]()))


@pytest.mark.ranks(2, 4)
@pytest.mark.parametrize(
    "options",
    [
        {"gradient_accumulation_steps": 3},
        {"on_nan": "raise"},
        {"divergence_every": 1},
        {"steps_per_execution": 2},
        {"overlap": False},
    ],
)
def test_what_compile_offers(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    machines(comm, monkeypatch, comm.size // 2)
    assert_like_one_rank(comm, lambda comm: made(comm, **options))


@pytest.mark.ranks(2, 3)
def test_on_one_machine_there_is_nothing_to_shard(comm: Communicator) -> None:
    model = assert_like_one_rank(comm, made)
    assert all(name == "momentum" or name == "velocity" for name in model.optimizer.state())


@pytest.mark.ranks(3, 4)
def test_machines_whose_ranks_are_dealt_in_turn(comm: Communicator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's machine is the first of all counterparts, though not their first rank."""
    turns = {3: [[0, 2], [1]], 4: [[0, 3], [1, 2]]}[comm.size]
    comm.agreement  # noqa: B018 - its watchdogs meet as what they are
    mine = next(ranks for ranks in turns if comm.rank in ranks)
    monkeypatch.setitem(vars(comm), "node_ranks", mine)
    assert_like_one_rank(comm, made)


# -- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.ranks(4)
def test_other_machines_than_roots_hold_a_shard(comm: Communicator, monkeypatch: pytest.MonkeyPatch) -> None:
    machines(comm, monkeypatch, 2)
    config.set_floatx("float32")
    size = 1024 * 512

    def wide() -> list[layers.Layer]:
        return [layers.Dense(512, use_bias=False, input_shape=(1024,))]

    x, y = np.zeros((4, 1024)), np.zeros((4, 512))
    names: list[str] = []
    make = memory_file.make
    monkeypatch.setattr(
        memory_file,
        "make",
        lambda purpose, size: [made := make(purpose, size), names.append(made[1].name)][0],
    )
    found = {}
    for is_sharded in (False, True):
        model = made(comm, wide, shard_optimizer=is_sharded)
        names.clear()
        model.fit(x, y, batch_size=4, verbose=0)
        megabytes = sum(map(resident, names)) / 1024 / 1024
        found[is_sharded] = comm.all_gather_object(megabytes)
    of_moments = 2 * 4 * size / 1024 / 1024
    assert found[False][0] - found[True][0] == pytest.approx(0, abs=0.3)
    # Rank 2, the first of the other machine, has made its memory.
    assert found[False][2] - found[True][2] == pytest.approx(of_moments / 2, abs=0.3)


def resident(name: str) -> int:
    """Return how many bytes a shared file of this process has in memory, of all who map it."""
    for descriptor in Path("/proc/self/map_files").iterdir():
        if name in str(descriptor.readlink()):
            return descriptor.stat().st_blocks * 512
    raise FileNotFoundError(name)


# -- who reads and writes the state, and when -------------------------------------------------------------------------


class Reader(Callback):
    """Reads the state on root."""

    ranks = "root"

    def __init__(self) -> None:
        self.found: list[np.ndarray] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.found.append(self.model.optimizer.state()["momentum"].copy())

    def on_train_end(self, logs: Any = None) -> None:
        self.found.append(self.model.optimizer.state()["momentum"].copy())


@pytest.mark.ranks(2, 4)
def test_a_callback_on_root_reads_all_of_it_between_epochs(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines(comm, monkeypatch, comm.size // 2)
    reader, expected = Reader(), Reader()
    trained(made(comm), callbacks=[reader])
    trained(made(Communicator.alone()), callbacks=[expected])
    for one, other in zip(reader.found, expected.found, strict=comm.is_root):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.ranks(2, 4)
def test_within_an_epoch_who_reads_it_is_told_the_remedy(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines(comm, monkeypatch, comm.size // 2)
    model = made(comm)

    class Reads(Callback):
        ranks = "root"

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.optimizer.state()

    with pytest.raises(RuntimeError, match=r"shard_optimizer=True.*BackupAndRestore"):
        trained(model, callbacks=[Reads()])
    assert np.isfinite(trained(model)).all()


@pytest.mark.ranks(2, 4)
def test_behind_fit_other_machines_are_told_that_root_has_it(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines(comm, monkeypatch, comm.size // 2)
    model = made(comm)
    trained(model)
    if comm.rank < comm.size // 2:
        assert model.optimizer.state()
    else:
        with pytest.raises(RuntimeError, match="Rank 0 has"):
            model.optimizer.state()
    comm.barrier()


@pytest.mark.ranks(2, 3, 4)
def test_a_saved_model_and_weights_hold_all_of_it(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """Also in a loop of one's own, in which no epoch ends."""
    machines(comm, monkeypatch, 2)
    x, y = rows_of_data(ROWS)
    rows = slice(comm.rank, None, comm.size)
    model, alone = made(comm), made(Communicator.alone())
    for _ in range(3):
        model.train_step((x[rows], y[rows]))
    model.save_weights(folder / "weights.safetensors", include_optimizer=True)
    model.save(folder / "model.safetensors")
    saved = [made(Communicator.alone()) for _ in range(2)]
    for name, one in zip(("weights", "model"), saved, strict=True):
        one.load_weights(folder / f"{name}.safetensors")
    for one in [*saved, model]:
        if one.comm is comm:
            one.train_step((x[rows], y[rows]))
        else:
            one.train_step((x, y))
    # Dropout draws by rows' numbers, and those of a loop of one's own differ: saved ones go on alike.
    for one, other in zip(saved[0].get_weights(), saved[1].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert saved[0].optimizer.iterations == model.optimizer.iterations == 4
    assert np.abs(saved[0].optimizer.state()["momentum"]).sum() > 0
    assert alone.optimizer.iterations == 0


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("save_freq", ["epoch", 2])
@pytest.mark.parametrize("per_machine", [1, 2])
def test_a_training_resumes(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, folder: Path, save_freq: Any, per_machine: int
) -> None:
    """Within an epoch, too."""
    machines(comm, monkeypatch, per_machine)

    class Breaks(Callback):
        ranks = "root"
        batches = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.batches += 1
            if self.batches == 8:
                raise ArithmeticError("enough")

    expected = made(Communicator.alone())
    trained(expected)

    def backup() -> BackupAndRestore:
        return BackupAndRestore(folder / "backup", save_freq=save_freq, delete_checkpoint=False)

    with pytest.raises(ArithmeticError, match="enough"):
        trained(made(comm), callbacks=[backup(), Breaks()])
    comm.barrier()
    resumed = made(comm)
    trained(resumed, callbacks=[backup()])
    assert_same_weights(comm, resumed, expected)
    assert_state_of_root(comm, resumed, expected)


@pytest.mark.ranks(2, 4)
def test_checkpoints_of_a_callback_on_root_hold_all_of_it(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    machines(comm, monkeypatch, comm.size // 2)
    model, expected = made(comm), made(Communicator.alone())
    trained(model, callbacks=[ModelCheckpoint(folder / "model.safetensors")])
    trained(expected)
    if comm.is_root:
        again = made(Communicator.alone())
        again.load_weights(folder / "model.safetensors")
        np.testing.assert_allclose(
            again.optimizer.state()["velocity"], expected.optimizer.state()["velocity"], rtol=1e-9, atol=1e-12
        )
    comm.barrier()


@pytest.mark.ranks(2, 4)
@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_epoch_end", "on_train_batch_end"])
def test_what_root_restores_in_a_hook_is_everybodys(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, folder: Path, hook: str
) -> None:
    """Weights and state that a callback on root loads hold on all machines, also within an epoch."""
    machines(comm, monkeypatch, comm.size // 2)
    path = folder / "weights.safetensors"
    before = made(Communicator.alone())
    trained(before, epochs=1)
    if comm.is_root:
        before.save_weights(path, include_optimizer=True)
    comm.barrier()

    class Loads(Callback):
        ranks = "root"
        calls = 0

        def load(self, number: int, logs: Any = None) -> None:
            self.calls += 1
            if self.calls == 2:
                self.model.load_weights(path)

    def training(comm: Communicator) -> Model:
        model, callback = made(comm), Loads()
        setattr(callback, hook, callback.load)
        trained(model, callbacks=[callback])
        return model

    model, expected = training(comm), training(Communicator.alone())
    assert_same_weights(comm, model, expected)
    assert_state_of_root(comm, model, expected)


@pytest.mark.ranks(2, 4)
def test_weights_that_root_sets_within_an_epoch_leave_the_state_alone(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines(comm, monkeypatch, comm.size // 2)

    class Halves(Callback):
        ranks = "root"

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 1:
                self.model.set_weights([weight / 2 for weight in self.model.get_weights()])

    assert_like_one_rank(comm, made, callbacks=[Halves()])


@pytest.mark.ranks(4)
def test_what_another_rank_restores_by_itself_is_forgotten(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    machines(comm, monkeypatch, 2)
    path = folder / "weights.safetensors"
    other = made(Communicator.alone())
    trained(other)
    if comm.is_root:
        other.save_weights(path, include_optimizer=True)
    comm.barrier()

    def restore(model: Model) -> None:
        with model.solo():
            model.load_weights(path)
            assert model.optimizer.state()

    def on_last(comm: Communicator) -> LambdaCallback:
        hook = LambdaCallback(
            on_train_batch_end=lambda batch, logs: (
                restore(model) if batch == 1 and comm.rank == comm.size - 1 and comm.size > 1 else None
            )
        )
        hook.ranks = "all"
        return hook

    model = made(comm)
    found = trained(model, callbacks=[on_last(comm)])
    alone = made(Communicator.alone())
    np.testing.assert_allclose(found, trained(alone), rtol=1e-9)
    assert_same_weights(comm, model, alone)


@pytest.mark.ranks(2, 4)
@pytest.mark.parametrize(
    "again", [{"shard_optimizer": False}, {"shard_optimizer": False, "share_memory": False}, {}]
)
def test_compiled_again_with_the_same_optimizer_goes_on(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, again: dict[str, bool]
) -> None:
    machines(comm, monkeypatch, comm.size // 2)

    def training(comm: Communicator) -> Model:
        model = made(comm)
        trained(model)
        x, y = rows_of_data(ROWS)
        rows = slice(comm.rank, None, comm.size)
        model.train_step((x[rows], y[rows]))  # which leaves the state in parts
        model.compile(model.optimizer, "mse", **{"shard_optimizer": True, **again})
        trained(model, epochs=2)
        return model

    def of_state(model: Model) -> np.ndarray:
        return model.optimizer.state()["momentum"]

    model = training(comm)
    if not again:
        assert isinstance(model.update, OnNode)
    states = comm.all_gather_object(of_state(model).tobytes() if comm.is_root or again else b"")
    if again:
        assert len(set(states)) == 1
    assert np.isfinite(model.get_weights()[0]).all()


@pytest.mark.ranks(2, 4)
def test_what_is_loaded_into_a_new_optimizer_reaches_all_machines(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """Though the shards are those of the old one, until the next training begins."""
    machines(comm, monkeypatch, comm.size // 2)
    path = folder / "weights.safetensors"
    if comm.is_root:
        saved = made(Communicator.alone())
        trained(saved)
        saved.save_weights(path, include_optimizer=True)
    comm.barrier()

    def training(comm: Communicator) -> Model:
        model = made(comm)
        trained(model)
        model.compile(optimizers.Adam(0.01), "mse", shard_optimizer=True)
        model.load_weights(path)
        trained(model)
        return model

    model, expected = training(comm), training(Communicator.alone())
    assert_same_weights(comm, model, expected)
    assert_state_of_root(comm, model, expected)


@pytest.mark.ranks(2, 4)
@pytest.mark.parametrize("is_sharded", [True, False])
def test_a_state_that_root_restores_in_a_hook_holds_on_all(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, is_sharded: bool
) -> None:
    """Without a weight that was written."""
    machines(comm, monkeypatch, comm.size // 2)

    class Resets(Callback):
        ranks = "root"

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            optimizer = self.model.optimizer
            zeros = {name: np.zeros_like(array) for name, array in optimizer.state().items()}
            optimizer.restore(zeros, optimizer.scalars())

    assert_like_one_rank(comm, lambda comm: made(comm, shard_optimizer=is_sharded), callbacks=[Resets()])


@pytest.mark.ranks(2)
def test_a_divided_state_is_not_written_in_place(comm: Communicator, monkeypatch: pytest.MonkeyPatch) -> None:
    machines(comm, monkeypatch, 1)
    model = made(comm)
    hook = LambdaCallback(on_epoch_end=lambda *_: model.optimizer.state()["momentum"].fill(0))
    hook.ranks = "root"
    with pytest.raises(ValueError, match="read-only"):
        trained(model, callbacks=[hook])


@pytest.mark.ranks(2)
def test_two_models_of_common_layers_take_turns(comm: Communicator, monkeypatch: pytest.MonkeyPatch) -> None:
    machines(comm, monkeypatch, 1)

    def training(comm: Communicator) -> Model:
        first = made(comm)
        trained(first)
        second = Sequential(first.layers, comm=comm)
        second.compile(optimizers.SGD(0.01, momentum=0.9), "mse", shard_optimizer=True)
        trained(second, epochs=1)
        trained(first, epochs=1)
        return first

    model, expected = training(comm), training(Communicator.alone())
    assert_same_weights(comm, model, expected)


@pytest.mark.ranks(2, 4)
def test_two_models_with_one_optimizer_are_told_the_remedy(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    machines(comm, monkeypatch, comm.size // 2)
    first, path = made(comm), folder / "weights.safetensors"
    trained(first)
    first.save_weights(path, include_optimizer=True)
    second = Sequential(first.layers, comm=comm)
    second.compile(first.optimizer, "mse")
    before = comm.all_gather_object([array.tobytes() for array in first.optimizer.slot_arrays.values()])
    for attempt in (
        lambda: trained(second),
        lambda: second.train_step(rows_of_data(ROWS)),
        lambda: second.load_weights(path),
    ):
        with pytest.raises(ValueError, match="an optimizer of its own"):
            attempt()
    after = comm.all_gather_object([array.tobytes() for array in first.optimizer.slot_arrays.values()])
    assert before == after
    assert np.isfinite(trained(first)).all()


# -- what cannot be, and what fails -----------------------------------------------------------------------------------


@pytest.mark.ranks(1, 2)
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"optimizer": lambda: optimizers.SGD(clipnorm=1.0)}, "global_clipnorm is possible"),
        ({"optimizer": optimizers.Lamb}, "no LAMB"),
        ({"optimizer": lambda: optimizers.Adam(use_ema=True)}, "no average of the weights"),
        ({"share_memory": False}, "share_memory=True"),
        ({"compression": "bfloat16"}, "no compression"),
    ],
)
def test_options_that_exclude_each_other(comm: Communicator, options: dict[str, Any], match: str) -> None:
    given = {"optimizer": optimizers.Adam, **options}
    with pytest.raises(ValueError, match=match):
        made(comm, **{**given, "optimizer": given["optimizer"]()})


@pytest.mark.ranks(2, 4)
def test_a_clip_of_norms_that_a_callback_sets_is_an_error(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines(comm, monkeypatch, comm.size // 2)
    model = made(comm)
    hook = LambdaCallback(on_epoch_end=lambda *_: setattr(model.optimizer, "clipnorm", 0.1))
    with pytest.raises(ValueError, match="global_clipnorm is possible"):
        trained(model, callbacks=[hook])


@pytest.mark.ranks(2, 3)
def test_without_memory_that_can_be_shared_each_rank_has_a_copy(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines(comm, monkeypatch, 1)

    def fail(purpose: str, size: int) -> Any:
        raise OSError("none left")

    if comm.rank == 1:
        monkeypatch.setattr(memory_file, "make", fail)
    model = assert_like_one_rank(comm, made)
    assert isinstance(model.update, Everywhere)


@pytest.mark.ranks(2, 4)
def test_without_memory_for_gradients_each_rank_has_all_of_the_state_again(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When that turns out, other machines than root's have given the rest of it up."""
    machines(comm, monkeypatch, comm.size // 2)

    def with_state(comm: Communicator) -> Model:
        model = made(comm)
        state = model.optimizer.state()
        model.optimizer.restore(
            {name: np.full_like(array, 0.5) for name, array in state.items()}, model.optimizer.scalars()
        )
        return model

    no_memory_for_gradients(monkeypatch)
    model = assert_like_one_rank(comm, with_state)
    assert isinstance(model.update, Everywhere)


@pytest.mark.ranks(2, 4)
@pytest.mark.parametrize("rank", ["first", "last"])
def test_a_failure_in_the_update_is_everybodys(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, rank: str
) -> None:
    machines(comm, monkeypatch, comm.size // 2)
    failing = 0 if rank == "first" else comm.size - 1
    model = made(comm)
    trained(model)
    before = model.get_weights()

    def fail(*_: Any) -> None:
        raise ArithmeticError("no update")

    with monkeypatch.context() as patch:
        if comm.rank == failing:
            patch.setattr(model.optimizer, "update_run", fail)
        with pytest.raises(ArithmeticError, match="no update") as caught:
            trained(model)
    assert isinstance(caught.value, RemoteError) == (comm.rank != failing)
    model.set_weights(before)
    assert np.isfinite(trained(model)).all()


@pytest.mark.ranks(2, 4)
def test_a_step_takes_one_message_more_and_an_epoch_two(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines(comm, monkeypatch, max(2, comm.size // 2))
    is_one_machine = comm.size == 2

    def messages(**options: Any) -> int:
        model = made(comm, **options)
        counts: list[int] = []
        hook = LambdaCallback(on_epoch_begin=lambda *_: counts.append(comm.agreement.messages))
        x, y = rows_of_data(ROWS)
        model.fit(x[:24], y[:24], batch_size=8, epochs=3, verbose=0, callbacks=[hook])
        return counts[2] - counts[1]

    steps = 3
    assert messages() - messages(shard_optimizer=False) == (0 if is_one_machine else steps + 2)
