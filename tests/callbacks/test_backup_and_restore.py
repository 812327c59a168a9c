"""A training that is interrupted, and started again."""

import errno
import itertools
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.largest import Largest
from support.small import line, regression

from distfit import Sequential, layers, optimizers, utils
from distfit.callbacks import (
    BackupAndRestore,
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    JSONLogger,
    LambdaCallback,
    LearningRateScheduler,
    ReduceLROnPlateau,
    TimeLimit,
)
from distfit.checkpoint import Store, load
from distfit.comm import Communicator
from distfit.errors import DataMismatch

X, Y = line(10)


class Interrupted(Exception):
    """Stands for a power cut."""


class Interrupt(Callback):
    """Raises at a step of the training, or at the end of an epoch, behind the callbacks before it."""

    def __init__(self, *, after_batches: int = 0, after_epoch: int = -1) -> None:
        self.left, self.epoch = after_batches, after_epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            raise Interrupted


def model_with_state(**options: Any) -> Sequential:
    return regression(Communicator.alone(), **{"optimizer": "adam", **options})


def fit(model: Sequential, *callbacks: Any, epochs: int = 4, **options: Any) -> Sequential:
    model.fit(X, Y, batch_size=4, epochs=epochs, verbose=0, callbacks=list(callbacks), **options)
    return model


def interrupted(model: Sequential, *callbacks: Any, **options: Any) -> None:
    with pytest.raises(Interrupted):
        fit(model, *callbacks, **options)


def places(folder: Path) -> list[tuple[int, int, int]]:
    """Return the epoch, the batch and the step of each checkpoint, the last one first."""
    states = [load(path).state for path in Store(folder).paths()]
    return [(state["epoch"], state["batch"], state["step"]) for state in states]


def assert_same(one: Sequential, other: Sequential) -> None:
    assert one.history.epoch == other.history.epoch
    assert one.history.history == other.history.history
    assert one.optimizer.iterations == other.optimizer.iterations
    assert one.progress.step == other.progress.step
    for weight, expected in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize(
    ("save_freq", "batches"), [("epoch", 8), ("epoch", 6), (1, 7), (1, 9), (2, 5), (3, 4), (5, 11)]
)
def test_it_goes_on_as_if_it_had_never_stopped(
    folder: Path, save_freq: Any, batches: int, background: bool
) -> None:
    through = fit(model_with_state())
    saving = {"save_freq": save_freq, "background": background}
    interrupted(model_with_state(), BackupAndRestore(folder, **saving), Interrupt(after_batches=batches))
    assert_same(fit(model_with_state(), BackupAndRestore(folder, **saving)), through)
    assert not folder.exists()


def test_it_is_interrupted_again_and_again(folder: Path) -> None:
    through = fit(model_with_state())
    for _ in range(5):
        interrupted(model_with_state(), BackupAndRestore(folder, 1), Interrupt(after_batches=3))
    assert_same(fit(model_with_state(), BackupAndRestore(folder, 1)), through)


def test_the_seed_of_what_is_random_comes_back(folder: Path) -> None:
    first = model_with_state()
    interrupted(first, BackupAndRestore(folder), Interrupt(after_batches=8))
    utils.set_random_seed(99)
    again = model_with_state()
    again.progress.seed = 99
    fit(again, BackupAndRestore(folder))
    assert again.progress.seed == first.progress.seed == 7


def test_a_learning_rate_that_was_changed_comes_back(folder: Path) -> None:
    def halve(epoch: int, logs: Any) -> None:
        first.optimizer.learning_rate *= 0.5

    first = model_with_state()
    interrupted(first, LambdaCallback(on_epoch_end=halve), BackupAndRestore(folder), Interrupt(after_epoch=1))
    again = fit(model_with_state(), BackupAndRestore(folder))
    # After the first epoch it was saved, the second one is trained again, and nobody halves the rate there.
    assert again.optimizer.learning_rate == pytest.approx(0.001 / 2)


@pytest.mark.parametrize(
    ("save_freq", "expected"),
    [("epoch", (1, 0, 3)), (2, (1, 1, 4)), (3, (0, 3, 3)), (5, (1, 2, 5)), (1, (1, 2, 5))],
)
def test_the_place_that_is_written(folder: Path, save_freq: Any, expected: tuple[int, int, int]) -> None:
    """Of epochs with three batches the second one is interrupted behind its second batch."""

    class Late(Interrupt):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if self.left == 0:
                raise Interrupted

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.left -= 1

    saving = BackupAndRestore(folder, save_freq, background=False)
    interrupted(model_with_state(), saving, Late(after_batches=5))
    assert places(folder) == [expected]


def test_several_batches_at_a_time(folder: Path) -> None:
    written: list[int] = []

    class Note(BackupAndRestore):
        def save(self, checkpoint: Any) -> None:
            super().save(checkpoint)
            written.append(checkpoint.state["step"])

    fit(model_with_state(steps_per_execution=2), Note(folder, save_freq=2, background=False), epochs=2)
    assert written == [2, 5, 6]  # it may be saved behind batches 2, 3, 5 and 6


def test_accumulated_gradients_are_no_place_to_go_on_from(folder: Path) -> None:
    def model() -> Sequential:
        return regression(Communicator.alone(), optimizer=optimizers.Adam(gradient_accumulation_steps=2))

    through = fit(model())
    saving = {"save_freq": 1, "background": False}
    interrupted(model(), BackupAndRestore(folder, **saving), Interrupt(after_batches=5))
    assert places(folder) == [(1, 0, 3)]  # the third batch of an epoch makes an update of its own
    assert_same(fit(model(), BackupAndRestore(folder, **saving)), through)


def test_every_so_many_seconds(folder: Path) -> None:
    ticks = itertools.count()  # a second passes at each look: at the start, with each batch, and at each save
    saving = BackupAndRestore(
        folder,
        timedelta(seconds=3),
        background=False,
        clock=lambda: float(next(ticks)),
        double_checkpoint=True,
    )
    interrupted(model_with_state(), saving, Interrupt(after_batches=9))
    assert [step for _, _, step in places(folder)] == [6, 3]


@pytest.mark.parametrize("delete", [True, False])
def test_at_the_end_of_training_it_is_removed(folder: Path, delete: bool) -> None:
    fit(model_with_state(), BackupAndRestore(folder, delete_checkpoint=delete), epochs=2)
    assert folder.exists() != delete


def test_what_is_left_at_the_end_counts_for_the_next_fit(folder: Path) -> None:
    fit(model_with_state(), BackupAndRestore(folder, delete_checkpoint=False), epochs=2)
    through = fit(model_with_state(), epochs=3)
    assert_same(fit(model_with_state(), BackupAndRestore(folder), epochs=3), through)


def test_a_training_that_was_done_has_nothing_left_to_do(folder: Path) -> None:
    saving = {"delete_checkpoint": False}
    first = fit(model_with_state(), BackupAndRestore(folder, **saving), epochs=2)
    assert_same(fit(model_with_state(), BackupAndRestore(folder, **saving), epochs=2), first)


def test_a_training_that_a_callback_had_stopped_stays_stopped(folder: Path) -> None:
    def stop(epoch: int, logs: Any) -> None:
        model.stop_training = epoch == 1

    saving, ended = {"delete_checkpoint": False}, []
    model = model_with_state()
    fit(model, LambdaCallback(on_epoch_end=stop), BackupAndRestore(folder, **saving))
    again = fit(
        model_with_state(),
        LambdaCallback(on_train_end=ended.append),
        BackupAndRestore(folder, **saving),
    )
    assert_same(again, model)
    assert ended == [{key: values[-1] for key, values in model.history.history.items()}]


def test_a_later_fit_without_it_begins_at_its_own_epoch(folder: Path) -> None:
    """In Keras 3.15.1 the restored epoch stays with the model, and a later fit begins there."""
    model = model_with_state()
    interrupted(model, BackupAndRestore(folder), Interrupt(after_epoch=1))
    fit(model, BackupAndRestore(folder))
    assert model.history.epoch == [0, 1, 2, 3]
    fit(model)
    assert model.history.epoch == [0, 1, 2, 3]


@pytest.mark.parametrize("check", ["epoch", "batch"])
@pytest.mark.parametrize("accumulation", [None, 2])
def test_the_next_job_goes_on_where_time_was_over(folder: Path, check: Any, accumulation: int | None) -> None:
    def model() -> Sequential:
        return regression(
            Communicator.alone(), optimizer=optimizers.Adam(gradient_accumulation_steps=accumulation)
        )

    through, jobs = fit(model(), epochs=12), 0
    for _ in range(30):
        ticks = itertools.count(step=10_000)  # so that the seconds since the program began play no part
        limit = TimeLimit(100_000, grace=30_000, check=check, clock=lambda ticks=ticks: float(next(ticks)))
        again = fit(model(), limit, BackupAndRestore(folder), epochs=12)
        jobs += 1
        if not again.interrupted:
            break
    assert jobs > 2
    assert_same(again, through)


def test_callbacks_are_where_they_were(folder: Path, tmp_path: Path) -> None:
    """Whichever stand before it and whichever behind; a file is cut back, and continued."""

    class Count(Callback):
        """A user's own: numbers, and an array."""

        def __init__(self) -> None:
            self.batches, self.sums = 0, np.zeros(2)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.batches += 1
            self.sums += logs["loss"]

        def state_dict(self) -> dict[str, Any]:
            return {"batches": self.batches, "sums": self.sums.copy()}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.batches, self.sums = state["batches"], state["sums"]

    def train(name: str, *more: Callback, backup: BackupAndRestore | None) -> tuple[Any, ...]:
        counts = Count(), Count()
        stopping = EarlyStopping("loss", min_delta=0.001, patience=3)
        plateau = ReduceLROnPlateau("loss", factor=0.5, patience=1, cooldown=1, min_delta=0.001)
        files = CSVLogger(tmp_path / f"{name}.csv"), JSONLogger(tmp_path / f"{name}.jsonl")
        schedule = LearningRateScheduler(lambda epoch, rate: rate * 0.9)
        listed = [counts[0], stopping, schedule, files[0], backup, files[1], plateau, counts[1], *more]
        model = model_with_state()
        try:
            fit(model, *filter(None, listed), epochs=30, validation_split=0.2)
        except Interrupted:
            return ()
        states = [one.state_dict() for one in (*counts, stopping, plateau)]
        texts = [(tmp_path / f"{name}.{ending}").read_text() for ending in ("csv", "jsonl")]
        return model, states, texts

    through, states, texts = train("through", backup=None)
    assert 8 < len(through.history.epoch) < 30
    for batches in (1, 2, 3, 4, 5, 1, 4, 2):
        assert not train("again", Interrupt(after_batches=batches), backup=BackupAndRestore(folder, 2))
    again, states_again, texts_again = train("again", backup=BackupAndRestore(folder, 2))
    assert_same(again, through)
    assert texts_again == texts
    for state, expected in zip(states_again, states, strict=True):
        np.testing.assert_equal(state, expected)


def test_the_metrics_of_the_epoch_so_far(folder: Path) -> None:
    """Those that ride in the steps' messages, and one that does not."""

    def model() -> Sequential:
        return model_with_state(metrics=["mae", Largest()])

    through = fit(model())
    interrupted(model(), BackupAndRestore(folder, 1), Interrupt(after_batches=6))
    assert_same(fit(model(), BackupAndRestore(folder, 1)), through)


def test_the_users_files_in_the_folder_stay(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    fit(model_with_state(), BackupAndRestore(folder))
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def damage(folder: Path, what: str) -> None:
    path = Store(folder).paths()[0] / what
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


FILES = ["weights.safetensors", "optimizer.safetensors", "state.json", "SHA256SUMS"]


@pytest.mark.parametrize("what", FILES)
def test_the_one_before_takes_the_place_of_one_that_is_damaged(folder: Path, what: str) -> None:
    through = fit(model_with_state())
    saving = {"double_checkpoint": True}
    interrupted(model_with_state(), BackupAndRestore(folder, **saving), Interrupt(after_batches=10))
    for _ in range(2):
        damage(folder, what)
        with pytest.warns(UserWarning, match="checkpoint-"):
            interrupted(model_with_state(), BackupAndRestore(folder, **saving), Interrupt(after_batches=5))
    damage(folder, what)
    with pytest.warns(UserWarning, match="checkpoint-"):
        again = fit(model_with_state(), BackupAndRestore(folder, **saving))
    assert_same(again, through)


@pytest.mark.filterwarnings("ignore:.*checkpoint-")
@pytest.mark.parametrize("what", FILES)
def test_without_one_before_it_is_an_error(folder: Path, what: str) -> None:
    interrupted(model_with_state(), BackupAndRestore(folder), Interrupt(after_epoch=2))
    damage(folder, what)
    with pytest.raises(ValueError, match=r"none of the 1 checkpoints in .* can be read\. Remove them"):
        fit(model_with_state(), BackupAndRestore(folder))
    assert len(Store(folder).paths()) == 1


def test_a_training_on_an_iterable_that_was_done_reads_nothing_again(folder: Path) -> None:
    class Batches:
        def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            return iter([(X, Y)])

    saving = {"iterables": "refuse", "delete_checkpoint": False}
    for _ in range(2):
        model = model_with_state()
        model.fit(Batches(), epochs=2, verbose=0, callbacks=[BackupAndRestore(folder, **saving)])
        assert model.history.epoch == [0, 1]


def test_an_iterable_whose_epochs_differ_is_read_again_from_the_first(folder: Path) -> None:
    class Shuffled:
        """As a seeded loader does it: each epoch draws on."""

        def __init__(self) -> None:
            self.generator = np.random.default_rng(3)

        def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for start in (0, 4, 6):
                rows = self.generator.permutation(10)[start : start + 4]
                yield X[rows], Y[rows]

    def train(*callbacks: Callback) -> Sequential:
        model = model_with_state()
        model.fit(Shuffled(), epochs=4, verbose=0, callbacks=list(callbacks))
        return model

    through = train()
    for after in (5, 4, 1):
        with pytest.raises(Interrupted):
            train(BackupAndRestore(folder, 1, background=False), Interrupt(after_batches=after))
    assert_same(train(BackupAndRestore(folder)), through)


@pytest.mark.parametrize("name", ["momentum", "global_clipnorm", "weight_decay"])
def test_a_setting_that_a_callback_changed_comes_back(folder: Path, name: str) -> None:
    class Change(Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                setattr(self.model.optimizer, name, 0.125)

    def model() -> Sequential:
        return regression(Communicator.alone(), optimizer=optimizers.SGD(0.05, momentum=0.9))

    through = fit(model(), Change())
    interrupted(model(), Change(), BackupAndRestore(folder, 1), Interrupt(after_batches=8))
    again = fit(model(), Change(), BackupAndRestore(folder))
    assert getattr(again.optimizer, name) == 0.125
    assert_same(again, through)


def test_a_stop_within_an_epoch_whose_end_the_job_did_not_see(folder: Path) -> None:
    class Stop(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = self.model.progress.step == 5

    class PowerCut(Callback):
        def on_test_begin(self, logs: Any = None) -> None:
            if self.model.stop_training:
                raise Interrupted

    options = {"validation_data": (X, Y)}
    through = fit(model_with_state(), Stop(), **options)
    saving = {"save_freq": 1, "background": False}
    interrupted(model_with_state(), Stop(), BackupAndRestore(folder, **saving), PowerCut(), **options)
    again = fit(model_with_state(), Stop(), BackupAndRestore(folder, **saving), **options)
    assert through.history.epoch == [0, 1]
    assert_same(again, through)


def test_early_stopping_in_the_epoch_in_which_the_job_was_asked_to_end(folder: Path) -> None:
    class AskToEnd(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                self.model.stop_training = self.model.interrupted = True

    def stopping() -> EarlyStopping:
        return EarlyStopping("loss", mode="max", patience=2)

    through = fit(model_with_state(), stopping(), epochs=8)
    assert through.history.epoch == [0, 1, 2]
    first = fit(model_with_state(), AskToEnd(), stopping(), BackupAndRestore(folder), epochs=8)
    assert first.interrupted
    assert_same(fit(model_with_state(), stopping(), BackupAndRestore(folder), epochs=8), through)


@pytest.mark.parametrize("hooks", [False, True])
def test_a_validation_that_is_broken_off_is_done_by_the_next_job(folder: Path, hooks: bool) -> None:
    """SIGUSR1 within it: there may be no time to finish it."""
    seen: list[int] = []

    class Rows:
        """Validation data whose reading takes long: the signal comes while it is read."""

        def __init__(self) -> None:
            self.shape, self.dtype = X.shape, X.dtype

        def __len__(self) -> int:
            return len(X)

        def __getitem__(self, rows: Any) -> np.ndarray:
            seen.append(model.progress.step)
            if sends and model.progress.step == 6 and seen.count(6) == 2:
                os.kill(os.getpid(), signal.SIGUSR1)
            return X[rows]

    def train(*callbacks: Callback) -> Sequential:
        more = [LambdaCallback(on_test_batch_end=lambda batch, logs: None)] * hooks
        return fit(model, *callbacks, *more, validation_data=(Rows(), Y), validation_batch_size=2)

    sends = False
    model = model_with_state(metrics=["mae", Largest()])
    through = train()
    sends = True
    model = model_with_state(metrics=["mae", Largest()])
    seen.clear()
    first = train(BackupAndRestore(folder))
    assert first.interrupted
    assert seen.count(6) == 2  # of five batches
    assert places(folder) == [(1, 3, 6)]
    sends = False
    model = model_with_state(metrics=["mae", Largest()])
    assert_same(train(BackupAndRestore(folder)), through)


def test_metrics_of_other_names_are_an_error_within_an_epoch(folder: Path) -> None:
    saving = {"save_freq": 1, "background": False}
    interrupted(model_with_state(), BackupAndRestore(folder, **saving), Interrupt(after_batches=3))
    with pytest.raises(ValueError, match=r"has other metrics.*Received: mse; it has: mae"):
        fit(model_with_state(metrics=["mse"]), BackupAndRestore(folder))


@pytest.mark.parametrize("options", [{"initial_epoch": 1}, {"epochs": 1}])
def test_a_checkpoint_of_another_fit_is_an_error_and_stays(folder: Path, options: dict[str, int]) -> None:
    interrupted(model_with_state(), BackupAndRestore(folder), Interrupt(after_epoch=2))
    with pytest.raises(
        ValueError, match="is that of another fit: it began with initial_epoch=0 and is at epoch 3"
    ):
        fit(model_with_state(), BackupAndRestore(folder), **options)
    assert places(folder) == [(2, 0, 6)]


def test_a_checkpoint_of_a_model_is_no_training(folder: Path) -> None:
    Store(folder).save(model_with_state().as_checkpoint(epoch=1))
    with pytest.raises(
        ValueError, match=r"holds a model, and no training that could go on.*folder of its own"
    ):
        fit(model_with_state(), BackupAndRestore(folder))


def test_a_callback_of_which_there_is_another_number_begins_anew_and_root_says_so(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    class Foreign:
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            pass

    watched = [EarlyStopping("loss", patience=9), EarlyStopping("mae", patience=9)]
    interrupted(model_with_state(), *watched, BackupAndRestore(folder), Interrupt(after_epoch=2))
    other = EarlyStopping("mae", patience=9)
    fit(model_with_state(), other, Foreign(), BackupAndRestore(folder), epochs=2)
    assert other.best is None
    told = capfd.readouterr().err
    assert "the checkpoint has 2 EarlyStopping, and fit 1: none goes on" in told
    assert "Foreign, which is no distfit callback, begins anew" in told


def test_a_state_that_cannot_be_written_is_an_error_before_the_first_batch(folder: Path) -> None:
    class Odd(Callback):
        state_names = ("odd",)
        odd = object()

    steps: list[int] = []
    count = LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(batch))
    with pytest.raises(TypeError, match="odd"):
        fit(model_with_state(), Odd(), count, BackupAndRestore(folder))
    assert steps == []


def test_a_log_file_that_is_new_gets_its_header(folder: Path, tmp_path: Path) -> None:
    interrupted(
        model_with_state(), CSVLogger(tmp_path / "a.csv"), BackupAndRestore(folder), Interrupt(after_epoch=1)
    )
    (tmp_path / "a.csv").unlink()
    with pytest.warns(UserWarning, match="shorter than at the checkpoint"):
        fit(model_with_state(), CSVLogger(tmp_path / "a.csv"), BackupAndRestore(folder))
    assert (tmp_path / "a.csv").read_text().startswith("epoch,loss,mae")


def test_a_checkpoint_of_another_model_is_an_error(folder: Path) -> None:
    interrupted(model_with_state(), BackupAndRestore(folder), Interrupt(after_epoch=1))
    wider = Sequential([layers.Dense(5, input_shape=(2,)), layers.Dense(1)], comm=Communicator.alone())
    wider.compile(optimizer="adam", loss="mse")
    with pytest.raises(
        ValueError, match=r"do not fit the model:\n    dense.*/kernel: the model has \(2, 5\)"
    ):
        fit(wider, BackupAndRestore(folder))


@pytest.mark.parametrize("what", ["rows", "contents", "batch size"])
def test_other_data_than_the_checkpoints_is_an_error(folder: Path, what: str) -> None:
    interrupted(model_with_state(), BackupAndRestore(folder), Interrupt(after_epoch=1))
    x = {"rows": X[:8], "contents": X + 1, "batch size": X}[what]
    with pytest.raises(
        DataMismatch, match=r"goes on from a checkpoint, but with other data: [\s\S]*Give fit the same"
    ):
        model_with_state().fit(
            x,
            Y[: len(x)],
            batch_size=5 if what == "batch size" else 4,
            verbose=0,
            callbacks=[BackupAndRestore(folder)],
        )


def test_another_number_of_epochs_is_none(folder: Path) -> None:
    interrupted(model_with_state(), BackupAndRestore(folder), Interrupt(after_epoch=1))
    assert_same(
        fit(model_with_state(), BackupAndRestore(folder), epochs=6), fit(model_with_state(), epochs=6)
    )


@pytest.mark.parametrize("steps", [None, 2])
@pytest.mark.parametrize("after", [3, 4, 5])
def test_an_iterable_is_read_again_to_its_place_or_refused(
    folder: Path, steps: int | None, after: int
) -> None:
    class Batches:
        def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            return ((X[start : start + 4], Y[start : start + 4]) for start in (0, 4, 6))

    def train(model: Sequential, *callbacks: Callback) -> Sequential:
        model.fit(Batches(), epochs=4, steps_per_epoch=steps, verbose=0, callbacks=list(callbacks))
        return model

    through = train(model_with_state())
    with pytest.raises(Interrupted):
        train(model_with_state(), BackupAndRestore(folder, 1), Interrupt(after_batches=after))
    with pytest.raises(ValueError, match=r"BackupAndRestore\(iterables='replay'\)"):
        train(model_with_state(), BackupAndRestore(folder, 1, iterables="refuse"))
    assert_same(train(model_with_state(), BackupAndRestore(folder, 1)), through)


def test_two_of_them_are_an_error(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"a training has one BackupAndRestore\. Received: 2"):
        fit(model_with_state(), BackupAndRestore(folder), BackupAndRestore(folder))


def test_a_model_whose_loss_has_no_form_on_disk_is_backed_up(folder: Path) -> None:
    def loss(y: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return ((y_pred - y) ** 2)[:, 0], 2 * (y_pred - y)

    interrupted(model_with_state(loss=loss), BackupAndRestore(folder), Interrupt(after_epoch=1))
    again = fit(model_with_state(loss=loss), BackupAndRestore(folder))
    assert_same(again, fit(model_with_state(loss=loss)))


def test_a_model_without_weights_before_its_first_batch_is_an_error(folder: Path) -> None:
    model = Sequential([layers.Dense(1)], comm=Communicator.alone())
    model.compile(optimizer="sgd", loss="mse")
    with pytest.raises(ValueError, match="give the first layer an input_shape="):
        model.fit(iter([(X, Y)]), verbose=0, callbacks=[BackupAndRestore(folder)])


@pytest.mark.parametrize("save_freq", [0, -1, 2.5, True, False, "batch", None])
def test_save_freq_is_epoch_or_a_number_of_batches(folder: Path, save_freq: Any) -> None:
    with pytest.raises(ValueError, match=r"save_freq is 'epoch' or a number of batches\. Received:"):
        BackupAndRestore(folder, save_freq=save_freq)


@pytest.mark.parametrize("save_freq", [timedelta(0), "00:00", "soon:er"])
def test_a_time_between_two_checkpoints_is_positive(folder: Path, save_freq: Any) -> None:
    with pytest.raises(
        ValueError, match=r"the time between two checkpoints is positive|a time is written as"
    ):
        BackupAndRestore(folder, save_freq=save_freq)


def test_what_is_done_with_iterables_is_one_of_two(folder: Path) -> None:
    with pytest.raises(ValueError, match="iterables is 'replay' or 'refuse'"):
        BackupAndRestore(folder, iterables="skip")  # type: ignore[arg-type]


def test_an_empty_folder_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="backup_dir is the path of a folder"):
        BackupAndRestore("")


@pytest.mark.parametrize("variable", ["DISTFIT_RESTART", "SLURM_RESTART_COUNT"])
@pytest.mark.parametrize("count", ["0", "1"])
def test_a_restart_that_finds_nothing_says_so_loudly(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    variable: str,
    count: str,
) -> None:
    monkeypatch.setenv(variable, count)
    fit(model_with_state(), BackupAndRestore(folder))
    told = f"there is no checkpoint in {folder}: TRAINING BEGINS FROM THE START"
    assert (told in capfd.readouterr().err) == (count == "1")


def test_what_it_goes_on_from_is_told(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    interrupted(model_with_state(), BackupAndRestore(folder, 1, background=False), Interrupt(after_batches=5))
    model_with_state().fit(X, Y, batch_size=4, epochs=4, verbose=2, callbacks=[BackupAndRestore(folder)])
    assert (
        f"distfit: training goes on from {folder}/checkpoint-000004, at epoch 2, batch 2\n"
        in capfd.readouterr().err
    )


@pytest.mark.parametrize("background", [True, False])
def test_a_write_that_fails_leaves_the_one_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch, background: bool
) -> None:
    """The disk is full for a while; with the next start, there is room."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill(epoch: int, logs: Any) -> None:
        if epoch == 2:
            monkeypatch.setattr(os, "fsync", full)

    through = fit(model_with_state())
    saving = {"background": background}
    with pytest.raises(OSError, match="No space left on device"):
        fit(model_with_state(), BackupAndRestore(folder, **saving), LambdaCallback(on_epoch_begin=fill))
    monkeypatch.undo()
    # In the background, that of the second epoch may still have been under way.
    assert places(folder) in ([[(2, 0, 6)], [(1, 0, 3)]] if background else [[(2, 0, 6)]])
    assert_same(fit(model_with_state(), BackupAndRestore(folder, **saving)), through)


def test_where_training_fails_its_error_is_raised_and_not_that_of_the_last_write(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    interrupted(
        model_with_state(), BackupAndRestore(folder), LambdaCallback(on_epoch_begin=_interrupt_second)
    )
    assert "the last checkpoint could not be written, either: [Errno 28]" in capfd.readouterr().err


def _interrupt_second(epoch: int, logs: Any) -> None:
    if epoch == 1:
        raise Interrupted


def test_a_loop_of_ones_own_is_told_to_save_by_itself(folder: Path) -> None:
    hooks = CallbackList([BackupAndRestore(folder)], model=model_with_state())
    with pytest.raises(RuntimeError, match=r"works in fit.*model\.as_checkpoint"):
        hooks.on_train_begin()
