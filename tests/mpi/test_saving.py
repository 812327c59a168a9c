"""A model on disk: written once, read by all ranks, and trained on as if nothing had been."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit import Model, Sequential, data, errors, layers, load_model, losses, optimizers, utils
from distfit.callbacks import BackupAndRestore, Callback, ModelCheckpoint
from distfit.checkpoint import Retention, load
from distfit.comm import Communicator
from distfit.optimizers import schedules

X, Y = line(11)


@pytest.fixture
def folder(comm: Communicator | None, tmp_path: Path) -> Path:
    """Return root's folder, on all ranks."""
    return tmp_path if comm is None else Path(comm.broadcast_object(str(tmp_path)))


def weights_equal(model: Model, expected: list[np.ndarray]) -> None:
    for weight, other in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(weight, other)


OPTIMIZERS = {
    "momentum": lambda: optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: optimizers.Adam(0.01),
    "schedule": lambda: optimizers.Adam(schedules.ExponentialDecay(0.05, 2, 0.5)),
    "averaged": lambda: optimizers.SGD(0.05, use_ema=True, ema_momentum=0.5),
}


def net(comm: Communicator, optimizer: str) -> Sequential:
    """Return a model with state of its own, and random numbers in training."""
    utils.set_random_seed(4)
    model = Sequential(
        [
            layers.Dense(6, activation="tanh", kernel_regularizer="l2", input_shape=(2,)),
            layers.BatchNormalization(),
            layers.Dropout(0.25),
            layers.Dense(1),
        ],
        comm=comm,
    )
    model.compile(
        optimizer=OPTIMIZERS[optimizer](),
        loss=losses.MeanSquaredError(),
        metrics=["mae"],
        steps_per_execution=2,
    )
    return model


@pytest.mark.parametrize("ending", ["safetensors", "npz"])
def test_weights_come_back_on_all_ranks(comm: Communicator, folder: Path, ending: str) -> None:
    model = regression(comm)
    model.fit(*line(), verbose=0)
    path = folder / "made" / f"weights.{ending}"
    model.save_weights(path)
    trained = model.get_weights()
    other = regression(comm)
    other.set_weights([np.zeros_like(weight) for weight in trained])
    other.load_weights(path)
    weights_equal(other, trained)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]  # and nothing unfinished


def test_root_writes_and_root_reads(comm: Communicator, tmp_path: Path) -> None:
    """Where ranks have file systems of their own, only root's is looked at."""
    model = regression(comm)
    model.set_weights([weight + 1 for weight in model.get_weights()])
    mine = tmp_path / "weights.npz"  # another path on each rank
    model.save_weights(mine)
    assert mine.exists() == comm.is_root
    expected = model.get_weights()
    model.set_weights([np.zeros_like(weight) for weight in expected])
    model.load_weights(mine)
    weights_equal(model, expected)
    comm.barrier()


def test_a_file_that_is_there_may_be_kept(comm: Communicator, folder: Path) -> None:
    model = regression(comm)
    for save, name in ((model.save_weights, "w.npz"), (model.save, "m.safetensors")):
        save(folder / name)
        with pytest.raises(FileExistsError, match=name):
            save(folder / name, overwrite=False)
        save(folder / name)
    assert isinstance(
        _raised(FileExistsError, lambda: model.save_weights(folder / "w.npz", overwrite=False)),
        errors.RemoteError,
    ) == (not comm.is_root)


def _raised(kind: type[BaseException], call: Any) -> BaseException:
    with pytest.raises(kind) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("method", ["save", "save_weights"])
def test_a_path_that_cannot_be_written_is_an_error_on_all_ranks(
    comm: Communicator, folder: Path, method: str
) -> None:
    model = regression(comm)
    if comm.is_root:
        (folder / "file").write_text("in the way")
    comm.barrier()
    with pytest.raises(OSError, match="file"):
        getattr(model, method)(folder / "file" / "model.safetensors")
    with pytest.raises(ValueError, match=r"\.safetensors"):
        getattr(model, method)(folder / "model.keras")
    model.fit(*line(), verbose=0)  # and the ranks go on


def test_files_that_cannot_be_read_are_errors_on_all_ranks(comm: Communicator, folder: Path) -> None:
    model = regression(comm)
    with pytest.raises(OSError, match="missing"):
        model.load_weights(folder / "missing.npz")
    with pytest.raises(OSError, match="missing"):
        load_model(folder / "missing.safetensors", comm=comm)
    if comm.is_root:
        (folder / "damaged.safetensors").write_bytes(b"\x10" * 40)
    comm.barrier()
    with pytest.raises(ValueError, match="damaged"):
        model.load_weights(folder / "damaged.safetensors")
    model.save_weights(folder / "weights.safetensors")
    with pytest.raises(ValueError, match="load_weights reads a file of weights alone"):
        load_model(folder / "weights.safetensors", comm=comm)


def test_weights_that_do_not_fit_are_named_and_nothing_changes(comm: Communicator, folder: Path) -> None:
    model = regression(comm)
    model.save_weights(folder / "w.npz")
    utils.set_random_seed(1)
    wider = Sequential([layers.Dense(5, input_shape=(2,)), layers.Dense(1)], comm=comm)
    before = wider.get_weights()
    with pytest.raises(ValueError, match=r"dense/kernel: the model has \(2, 5\), the file \(2, 4\)"):
        wider.load_weights(folder / "w.npz")
    weights_equal(wider, before)
    wider.load_weights(folder / "w.npz", skip_mismatch=True)
    np.testing.assert_array_equal(wider.get_weights()[3], model.get_weights()[3])  # the one that fits
    weights_equal(Sequential(wider.layers[:1], comm=comm), before[:2])


@pytest.mark.parametrize("kind", ["a model", "weights with the optimizer"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_loading_weights_restores_the_optimizer_that_the_file_holds(
    comm: Communicator, folder: Path, optimizer: str, kind: str
) -> None:
    path = folder / "some.safetensors"
    through = net(comm, optimizer)
    through.fit(X, Y, epochs=2, batch_size=4, verbose=0)
    if kind == "a model":
        through.save(path)
    else:
        through.save_weights(path, include_optimizer=True)
    again = net(comm, optimizer)
    again.load_weights(path)
    again.progress.step = through.progress.step  # of which a file of weights knows nothing
    assert again.optimizer.iterations == through.optimizer.iterations == 6
    for model in (through, again):
        model.fit(X, Y, initial_epoch=2, epochs=4, batch_size=4, verbose=0)
    weights_equal(again, through.get_weights())
    assert again.history.history == through.history.history


def test_loading_weights_restores_a_learning_rate_that_was_changed(comm: Communicator, folder: Path) -> None:
    model = net(comm, "adam")
    model.optimizer.learning_rate = 0.125
    model.save(folder / "m.safetensors")
    other = net(comm, "adam")
    other.load_weights(folder / "m.safetensors")
    assert comm.all_gather_object(other.optimizer.learning_rate) == [0.125] * comm.size


def test_the_state_of_another_optimizer_is_left_out_with_a_warning_on_root(
    comm: Communicator, folder: Path
) -> None:
    model = net(comm, "adam")
    model.fit(X, Y, verbose=0)
    model.save(folder / "m.safetensors")
    other = net(comm, "momentum")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        other.load_weights(folder / "m.safetensors")
    assert len(caught) == comm.is_root
    assert all("the state of the optimizer in" in str(warning.message) for warning in caught)
    weights_equal(other, model.get_weights())
    assert other.optimizer.iterations == 0


def test_a_model_that_is_not_compiled_takes_the_weights_alone(comm: Communicator, folder: Path) -> None:
    model = net(comm, "adam")
    model.save(folder / "m.safetensors")
    other = Sequential(net(comm, "adam").layers, comm=comm)
    other.load_weights(folder / "m.safetensors")
    weights_equal(other, model.get_weights())
    with pytest.raises(errors.NotCompiled):
        other.save_weights(folder / "w.safetensors", include_optimizer=True)


def test_the_optimizer_is_written_to_safetensors_alone(comm: Communicator, folder: Path) -> None:
    model = regression(comm)
    with pytest.raises(ValueError, match=r"ends in \.safetensors\. Received: .*w\.npz"):
        model.save_weights(folder / "w.npz", include_optimizer=True)
    model.save_weights(folder / "w.safetensors", include_optimizer=True)
    with pytest.raises(ValueError, match="load_weights reads a file of weights alone"):
        load_model(folder / "w.safetensors", comm=comm)


def test_loading_weights_mends_a_torn_model(comm: Communicator, folder: Path) -> None:
    model = regression(comm)
    model.save_weights(folder / "w.npz")
    model.progress.torn = True
    with pytest.raises(errors.ModelTorn):
        model.fit(*line(), verbose=0)
    model.load_weights(folder / "w.npz")
    model.fit(*line(), verbose=0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_model_trains_on_as_if_it_had_never_stopped(
    comm: Communicator, folder: Path, optimizer: str
) -> None:
    """Optimizer, schedule, dropout and order go on; only the optimizer's moving averages are at their end."""
    options: dict[str, Any] = {"batch_size": 4, "verbose": 0}
    through = net(comm, optimizer)
    through.fit(X, Y, epochs=2, **options)
    through.save(folder / "model.safetensors")
    utils.set_random_seed(99)  # the run's own seed is in the file
    loaded = load_model(folder / "model.safetensors", comm=comm)
    weights_equal(loaded, through.get_weights())
    assert loaded.optimizer.iterations == through.optimizer.iterations == 6
    assert loaded.compiled.steps_per_execution == 2
    for model in (through, loaded):
        model.fit(X, Y, initial_epoch=2, epochs=4, **options)
    weights_equal(loaded, through.get_weights())
    assert loaded.history.history == through.history.history


def test_a_file_of_many_ranks_trains_on_with_one(comm: Communicator, folder: Path) -> None:
    model = net(comm, "adam")
    model.fit(X, Y, epochs=2, batch_size=4, verbose=0)
    model.save(folder / "model.safetensors")
    model.fit(X, Y, initial_epoch=2, epochs=4, batch_size=4, verbose=0)
    alone = load_model(folder / "model.safetensors", comm=Communicator.alone())
    alone.fit(X, Y, initial_epoch=2, epochs=4, batch_size=4, verbose=0)
    for weight, expected in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=2e-4, atol=1e-5)
    comm.barrier()


def test_without_compile(comm: Communicator, folder: Path) -> None:
    net(comm, "adam").save(folder / "model.safetensors")
    loaded = load_model(folder / "model.safetensors", compile=False, comm=comm)
    assert loaded.optimizer is None
    with pytest.raises(errors.NotCompiled):
        loaded.fit(X, Y)


class Double(layers.Layer):
    """A layer of the user's own, with an argument."""

    def __init__(self, factor: float = 2.0, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor

    def forward(self, x: np.ndarray, context: layers.Context) -> Any:
        return self.factor * x, lambda dy: self.factor * dy


def test_layers_of_ones_own(comm: Communicator, folder: Path) -> None:
    model = Sequential([Double(3.0, input_shape=(2,)), layers.Dense(1)], comm=comm)
    model.save(folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"custom_objects=\{'Double': Double\}"):
        load_model(folder / "model.safetensors", comm=comm)
    loaded = load_model(folder / "model.safetensors", custom_objects={"Double": Double}, comm=comm)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


def test_what_has_no_form_on_disk_is_named(comm: Communicator, folder: Path) -> None:
    model = regression(comm, loss=lambda y, y_pred: (np.zeros(len(y)), np.zeros_like(y_pred)))
    with pytest.raises(TypeError, match=r"loss.*save the weights alone with save_weights"):
        model.save(folder / "model.safetensors")
    assert not (folder / "model.safetensors").exists()


def test_a_graph_with_two_inputs_a_shared_layer_and_two_outputs(comm: Communicator, folder: Path) -> None:
    utils.set_random_seed(5)
    left, right = layers.Input((2,), name="left"), layers.Input((2,), name="right")
    shared = layers.Dense(3, activation="tanh", name="shared")
    joined = layers.Concatenate()([shared(left), shared(right)])
    model = Model([left, right], [layers.Dense(1, name="head")(joined), joined], name="twins", comm=comm)
    model.save(folder / "model.safetensors")
    loaded = load_model(folder / "model.safetensors", comm=comm)
    assert loaded.name == "twins"
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    x = {"right": X[::-1].copy(), "left": X}
    for output, expected in zip(loaded.predict(x, verbose=0), model.predict(x, verbose=0), strict=True):
        np.testing.assert_array_equal(output, expected)


def test_an_image_model(comm: Communicator, folder: Path) -> None:
    """Arguments that are tuples come back as lists, and mean the same."""
    model = Sequential(
        [
            layers.Rescaling(1 / 255, input_shape=(6, 6, 1)),
            layers.Conv2D(2, (3, 3), padding="same", activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Reshape((18,)),
            layers.Dense(3, activation="softmax", kernel_initializer="he_normal"),
        ],
        comm=comm,
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save(folder / "model.safetensors")
    loaded = load_model(folder / "model.safetensors", comm=comm)
    images = np.arange(5.0 * 36).reshape(5, 6, 6, 1)
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), model.predict(images, verbose=0))
    labels = np.array([0, 1, 2, 1, 0])
    assert loaded.evaluate(images, labels, verbose=0) == model.evaluate(images, labels, verbose=0)


def test_a_rank_on_its_own_saves_for_itself(comm: Communicator, tmp_path: Path) -> None:
    model = regression(comm)
    with model.solo():
        model.save_weights(tmp_path / f"{comm.rank}.npz")
    assert (tmp_path / f"{comm.rank}.npz").exists()
    comm.barrier()


def test_a_checkpoint_comes_back_on_all_ranks(comm: Communicator, folder: Path) -> None:
    first = net(comm, "adam")
    saving = ModelCheckpoint(folder / "kept", retention=Retention())
    first.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[saving])
    model = net(comm, "adam")
    model.load_weights(folder / "kept" / "checkpoint-000002")
    weights_equal(model, first.get_weights())
    assert comm.all_gather_object(model.optimizer.iterations) == [first.optimizer.iterations] * comm.size


class Rows(Callback):
    """Counts the rows that each rank has seen: what root has to know of the others, for a checkpoint."""

    def __init__(self, comm: Communicator, ranks: Any) -> None:
        self.ranks, self.own, self.all = ranks, comm.rank, []

    def collect(self, comm: Communicator) -> None:
        self.all = comm.all_gather_object(self.own)

    def state_dict(self) -> dict[str, Any]:
        return {"all": self.all}


@pytest.mark.parametrize("ranks", ["all", "root"])
def test_what_only_other_ranks_know_is_collected_for_a_checkpoint(
    comm: Communicator, folder: Path, ranks: Any
) -> None:
    saving = BackupAndRestore(folder / "backup", delete_checkpoint=False)
    regression(comm).fit(X, Y, epochs=1, verbose=0, callbacks=[saving, Rows(comm, ranks)])
    state = load(folder / "backup" / "checkpoint-000001").state["callbacks"]["Rows"]
    assert comm.all_gather_object(state) == [{"all": list(range(comm.size))}] * comm.size


def test_a_backup_that_root_alone_has(comm: Communicator, folder: Path) -> None:
    """As Horovod's users write it; all ranks go on from it."""

    class PowerCut(Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise OSError("power cut")

    def train(*more: Callback) -> Sequential:
        model = net(comm, "adam")
        callbacks = [*more]
        if comm.rank == 0:
            callbacks.append(BackupAndRestore(folder / "backup", save_freq=3))
        model.fit(X, Y, batch_size=4, epochs=4, verbose=0, callbacks=callbacks)
        return model

    with pytest.raises(OSError, match="power cut"):
        train(PowerCut())
    through = net(comm, "adam")
    through.fit(X, Y, batch_size=4, epochs=4, verbose=0)
    again = train()
    weights_equal(again, through.get_weights())
    assert again.history.history == through.history.history


@pytest.mark.parametrize("local", [False, True])
def test_iterables_go_on_at_their_place(comm: Communicator, folder: Path, local: bool) -> None:
    """One stream for all ranks, or one of each rank's own: of those, on as many ranks as before."""

    class PowerCut(Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if model.progress.step == 5:
                raise OSError("power cut")

    class Batches:
        def __iter__(self) -> Any:
            mine = slice(comm.rank, None, comm.size) if local else slice(None)
            return ((X[start : start + 4][mine], Y[start : start + 4][mine]) for start in (0, 4, 8))

    def train(*callbacks: Callback) -> Sequential:
        stream = data.LocalPart(Batches()) if local else Batches()
        model.fit(stream, epochs=4, verbose=0, callbacks=list(callbacks))
        return model

    model = net(comm, "adam")
    through = train()
    model = net(comm, "adam")
    with pytest.raises(OSError, match="power cut"):
        train(BackupAndRestore(folder / "backup", save_freq=2), PowerCut())
    model = net(comm, "adam")
    again = train(BackupAndRestore(folder / "backup", save_freq=2))
    weights_equal(again, through.get_weights())
    assert again.history.history == through.history.history
