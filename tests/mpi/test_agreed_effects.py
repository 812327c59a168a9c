"""Promise 3: what a hook does holds on every rank, and a callback behind it sees what it would in one process."""

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit import RemoteError, data, optimizers
from distfit.callbacks import (
    Callback,
    CallbackList,
    EarlyStopping,
    LambdaCallback,
    ProgbarLogger,
    on_local_root,
    on_root,
)
from distfit.callbacks.dispatch.hooks import ALL_HOOKS
from distfit.comm import Communicator

BATCHES, EPOCHS = 8, 2


def stop(model: Any, logs: dict[str, Any]) -> None:
    model.stop_training = True


def set_rate(model: Any, logs: dict[str, Any]) -> None:
    model.optimizer.learning_rate = 0.03125


def zero(model: Any, logs: dict[str, Any]) -> None:
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])


def add_key(model: Any, logs: dict[str, Any]) -> None:
    logs["gpu"] = 7.0


def change_key(model: Any, logs: dict[str, Any]) -> None:
    logs["loss"] = -1.0


def add_text(model: Any, logs: dict[str, Any]) -> None:
    logs["note"] = "a word of root's"


def fail(model: Any, logs: dict[str, Any]) -> None:
    raise FileNotFoundError("the disk is gone")


ACTIONS = [stop, set_rate, zero, add_key, change_key, add_text, fail]


class Acts:
    """Does something in one hook, once for each number that the hook is called with."""

    def __init__(self, hook: str, action: Any, number: int | None = None) -> None:
        def act(*arguments: Any) -> None:
            if number is None or arguments[0] == number:
                action(self.model, arguments[-1])

        setattr(self, hook, act)

    def set_model(self, model: Any) -> None:
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None: ...


class Sees(Callback):
    """Notes in every hook what it sees of the training."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        for hook in ALL_HOOKS:
            setattr(self, hook, lambda *arguments, hook=hook: self.note(hook, *arguments))

    def note(self, hook: str, *arguments: Any) -> None:
        *number, logs = arguments
        model = self.model
        seen = (model.stop_training, model.optimizer.learning_rate, model.get_weights()[0])
        self.events.append((hook, number, *seen, dict(logs)))


def trained(comm: Communicator, hook: str, action: Any, number: int | None, wrap: Any) -> list[list[Any]]:
    """Return what callbacks in front and behind saw, and the model's weights and history."""
    front, behind, model = Sees(), Sees(), regression(comm)
    x, y = line(4 * BATCHES - 3)
    acts = wrap(Acts(hook, action, number))
    failing = pytest.raises(OSError, match="the disk is gone") if action is fail else nullcontext()
    with failing as caught:
        model.fit(
            x, y, batch_size=4, epochs=EPOCHS, verbose=0, validation_data=(x[:5], y[:5]),
            callbacks=[front, acts, behind],
        )  # fmt: skip
    assert caught is None or isinstance(caught.value, RemoteError) == (not comm.is_root)
    return [
        front.events,
        behind.events,
        model.get_weights(),
        [] if action is fail else [model.history.history],
        [comm.size == 1 or not model.shared_state.stale],
    ]


def assert_alike(seen: Any, expected: Any) -> None:
    if isinstance(expected, (float, np.ndarray)):
        np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-6)
    elif isinstance(expected, dict):
        assert list(seen) == list(expected)
        assert_alike(list(seen.values()), list(expected.values()))
    elif isinstance(expected, (list, tuple)):
        assert len(seen) == len(expected)
        for one, other in zip(seen, expected, strict=True):
            assert_alike(one, other)
    else:
        assert seen == expected


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
@pytest.mark.parametrize(
    ("hook", "number"),
    [
        ("on_train_begin", None),
        ("on_epoch_begin", 1),
        ("on_train_batch_begin", 7),
        ("on_train_batch_end", 7),
        ("on_test_begin", None),
        ("on_test_batch_begin", 1),
        ("on_test_batch_end", 0),
        ("on_test_end", None),
        ("on_epoch_end", 0),
        ("on_train_end", None),
    ],
)
def test_it_is_as_in_one_process(comm: Communicator, hook: str, number: int | None, action: Any) -> None:
    expected = trained(Communicator.alone(), hook, action, number, on_root)
    assert_alike(trained(comm, hook, action, number, on_root), expected)


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
@pytest.mark.parametrize("wrap", [on_local_root, lambda callback: callback], ids=["local root", "foreign"])
def test_it_is_so_wherever_it_runs(comm: Communicator, wrap: Any, action: Any) -> None:
    expected = trained(Communicator.alone(), "on_train_batch_end", action, 7, wrap)
    assert_alike(trained(comm, "on_train_batch_end", action, 7, wrap), expected)


@pytest.mark.ranks(2, 3, 4)
def test_logs_of_one_machine_alone_are_those_of_root_s(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ranks a machine, as `local_root` sees it: ranks 0 and 2 are the first of theirs."""
    first = comm.rank // 2 * 2
    monkeypatch.setitem(vars(comm), "node_ranks", list(range(first, min(first + 2, comm.size))))
    ran, behind, model = [], Sees(), regression(comm)

    def add(model: Any, logs: dict[str, Any]) -> None:
        ran.append(True)
        logs["host" if comm.is_root else "other"] = float(comm.rank)

    model.fit(*line(), verbose=0, callbacks=[on_local_root(Acts("on_epoch_end", add)), behind])
    assert comm.all_gather_object(bool(ran)) == [rank % 2 == 0 for rank in range(comm.size)]
    assert list(model.history.history) == ["loss", "mae", "host"]
    assert model.history.history["host"] == [0.0]


@pytest.mark.ranks(2, 3, 4)
def test_a_stop_on_another_machine_is_a_stop_on_all(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(comm), "node_ranks", [comm.rank])
    model = regression(comm)

    def stop_elsewhere(model: Any, logs: dict[str, Any]) -> None:
        model.stop_training = comm.rank == comm.size - 1

    model.fit(*line(), epochs=5, verbose=0, callbacks=[on_local_root(Acts("on_epoch_end", stop_elsewhere))])
    assert model.history.epoch == [0]


class Times(Callback):
    """Adds what is another value on each rank, as users do who think of one process."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["seconds"] = 10.0 * epoch + self.model.comm.rank


class Reads(Callback):
    reads_agreed_logs = True

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(logs["seconds"])


def test_what_an_all_callback_logs_differently_on_each_rank_is_root_s_value(comm: Communicator) -> None:
    reads, model = Reads(), regression(comm)
    model.fit(*line(), epochs=2, verbose=0, callbacks=[Times(), reads])
    assert model.history.history["seconds"] == [0.0, 10.0] == reads.seconds


class Draws(Callback):
    def __init__(self, hook: str) -> None:
        def draw(*_: Any) -> None:
            self.model.optimizer.learning_rate = 0.01 * (1 + self.model.comm.rank)

        setattr(self, hook, draw)


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_train_batch_begin", "on_train_batch_end"])
def test_learning_rates_that_differ_are_root_s_which_is_said_once(
    comm: Communicator, hook: str, capfd: pytest.CaptureFixture[str]
) -> None:
    model = regression(comm)
    model.fit(*line(), batch_size=4, epochs=3, verbose=0, callbacks=[Draws(hook)])
    assert model.optimizer.learning_rate == 0.01
    assert not model.shared_state.stale
    told = capfd.readouterr().err
    assert told.count("the ranks had different numbers of the optimizer") == (1 if comm.is_root else 0)
    assert ("Root's hold on all: iterations = " in told) == comm.is_root


# -- what a review found ----------------------------------------------------------------------------------------------


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize(
    ("name", "value"),
    [("momentum", 0.5), ("nesterov", True), ("clipnorm", 0.01), ("weight_decay", 0.1), ("iterations", 40)],
)
@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_train_batch_begin", "on_train_batch_end"])
def test_any_setting_of_the_optimizer_that_root_changes_holds_everywhere(
    comm: Communicator, hook: str, name: str, value: Any
) -> None:
    def change(model: Any, logs: Any) -> None:
        setattr(model.optimizer, name, value)

    def train(group: Communicator) -> Any:
        model = regression(group, optimizer=optimizers.SGD(0.1, momentum=0.9, clipnorm=1.0))
        model.fit(*line(), batch_size=4, epochs=2, verbose=0, callbacks=[on_root(Acts(hook, change))])
        return model

    model, alone = train(comm), train(Communicator.alone())
    assert (
        comm.all_gather_object(getattr(model.optimizer, name)) == [getattr(alone.optimizer, name)] * comm.size
    )
    assert_alike(model.get_weights(), alone.get_weights())


@pytest.mark.ranks(2, 3)
def test_a_setting_that_each_rank_draws_before_a_batch_is_root_s_in_that_step(comm: Communicator) -> None:
    """It takes another message within the step, which must not disturb what the step summed."""

    class Draw(Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.model.optimizer.momentum = 0.1 * (batch + 1) + 0.2 * self.model.comm.rank

    def train(group: Communicator) -> Any:
        model = regression(group, optimizer=optimizers.SGD(0.1, momentum=0.9))
        model.fit(*line(), batch_size=4, epochs=2, verbose=0, callbacks=[Draw()])
        return model

    model, alone = train(comm), train(Communicator.alone())
    assert_alike(model.history.history, alone.history.history)
    assert_alike(model.get_weights(), alone.get_weights())
    assert comm.all_gather_object(model.optimizer.momentum) == [alone.optimizer.momentum] * comm.size


@pytest.mark.ranks(2, 3)
def test_a_schedule_that_root_sets_holds_everywhere(comm: Communicator) -> None:
    def decay(model: Any, logs: Any) -> None:
        model.optimizer.learning_rate = optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)

    def train(group: Communicator) -> Any:
        model = regression(group)
        model.fit(
            *line(), batch_size=4, epochs=2, verbose=0, callbacks=[on_root(Acts("on_train_begin", decay))]
        )
        return model

    assert_alike(train(comm).get_weights(), train(Communicator.alone()).get_weights())


@pytest.mark.ranks(2, 3)
def test_a_rate_that_root_draws_holds_in_a_step_in_which_root_has_no_rows(comm: Communicator) -> None:
    rows = 4 if comm.is_root else 8
    x, y = line(rows)
    model = regression(comm)
    model.fit(
        data.LocalPart(x), data.LocalPart(y), batch_size=4, shuffle=False, verbose=0,
        callbacks=[Draws("on_train_batch_begin")],
    )  # fmt: skip
    assert comm.all_gather_object(model.optimizer.learning_rate) == [0.01] * comm.size
    weights = comm.all_gather_object(model.get_weights()[0].tobytes())
    assert weights == weights[:1] * comm.size


def test_a_flag_that_one_callback_raised_another_may_lower(comm: Communicator) -> None:
    class Eager(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = True

    def not_yet(model: Any, logs: Any) -> None:
        model.stop_training = len(model.history.epoch) >= 3

    model = regression(comm)
    model.fit(*line(), epochs=9, verbose=0, callbacks=[Eager(), on_root(Acts("on_epoch_end", not_yet))])
    assert model.history.epoch == [0, 1, 2, 3]


def test_a_prediction_in_a_root_hook_leaves_the_flags_of_the_others_alone(comm: Communicator) -> None:
    x, _ = line()

    def stop_and_look(model: Any, logs: Any) -> None:
        model.stop_predicting = True
        if comm.is_root:
            with model.solo():
                model.predict(x, verbose=0)  # which clears the flag on root

    seen = Sees()
    model = regression(comm)
    model.fit(*line(), epochs=2, verbose=0, callbacks=[on_root(Acts("on_epoch_end", stop_and_look)), seen])
    assert not model.stop_predicting


@pytest.mark.parametrize("value", [3, True, np.float32(0.25), np.int64(7)])
def test_what_root_logs_is_a_float_at_any_number_of_ranks(comm: Communicator, value: Any) -> None:
    def add(model: Any, logs: dict[str, Any]) -> None:
        logs["n"] = value

    model = regression(comm)
    model.fit(*line(), verbose=0, callbacks=[on_root(Acts("on_epoch_end", add))])
    (logged,) = model.history.history["n"]
    assert (type(logged), logged) == (float, float(value))


def test_a_key_that_root_takes_away_is_gone(comm: Communicator) -> None:
    def forget(model: Any, logs: dict[str, Any]) -> None:
        del logs["mae"]

    model = regression(comm)
    model.fit(*line(), verbose=0, callbacks=[on_root(Acts("on_epoch_end", forget))])
    assert list(model.history.history) == ["loss"]


class TimedStopping(EarlyStopping):
    """A user's own decider, which adds what is another value on each rank."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch, logs)
        logs["seconds"] = 10.0 + self.model.comm.rank


def test_a_user_s_own_decider_may_log_what_differs(comm: Communicator) -> None:
    model = regression(comm)
    model.fit(*line(), verbose=0, callbacks=[TimedStopping("loss")])
    assert model.history.history["seconds"] == [10.0]


def test_functions_with_the_same_hooks_are_told_apart(comm: Communicator) -> None:
    """Root's own one stands first: the other ranks have one with the same hook, which is another function."""
    model, looked = regression(comm), []

    def look(epoch: int, logs: Any) -> None:
        looked.append(model.predict(line()[0], verbose=0))

    def stop(epoch: int, logs: Any) -> None:
        model.stop_training = epoch == 1

    callbacks: list[Any] = [LambdaCallback(on_epoch_end=stop)]
    if comm.is_root:
        callbacks.insert(0, LambdaCallback(on_epoch_end=look))
    model.fit(*line(), epochs=5, verbose=0, callbacks=callbacks)
    assert comm.all_gather_object(len(looked)) == [2] + [0] * (comm.size - 1)
    assert model.history.epoch == [0, 1]


def test_a_progress_bar_that_root_alone_brings(comm: Communicator, capsys: Any) -> None:
    bars = [ProgbarLogger()] if comm.is_root else []
    regression(comm).fit(*line(), epochs=2, verbose=2, callbacks=bars)
    assert capsys.readouterr().out.count("Epoch") == (2 if comm.is_root else 0)


def test_the_same_error_may_be_raised_twice(comm: Communicator) -> None:
    error = ValueError("once more")

    def fail(model: Any, logs: Any) -> None:
        raise error

    for _ in range(2):
        with pytest.raises(ValueError, match="once more"):
            regression(comm).fit(*line(), verbose=0, callbacks=[on_root(Acts("on_epoch_end", fail))])
    assert regression(comm).fit(*line(), verbose=0).epoch == [0]


def test_a_loop_of_ones_own_may_reduce_behind_the_hooks_before_a_batch(comm: Communicator) -> None:
    class Bad(Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if batch == 1 and comm.rank == comm.size - 1:
                raise OSError("disk full")

    hooks = CallbackList([Bad()], comm=comm)
    hooks.on_train_begin()
    with pytest.raises(OSError, match="disk full"):
        for batch in range(3):
            hooks.on_train_batch_begin(batch)
            comm.transport.all_reduce(np.ones(3))  # as a loop would that knows nothing of agreements
            hooks.on_train_batch_end(batch, {})


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("rank", [0, 1])
def test_of_logs_that_hooks_on_all_ranks_write_on_one_alone_roots_hold(comm: Communicator, rank: int) -> None:
    """Added, changed and removed ones, in batches and epochs."""

    class Writes(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if comm.rank == rank:
                logs["more"], logs["loss"] = 2.0, -1.0
                del logs["mae"]

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if comm.rank == rank:
                logs["of a batch"] = 2.0

    history = regression(comm).fit(*line(), epochs=2, verbose=0, callbacks=[Writes()]).history
    found = comm.all_gather_object(history)
    assert all(one == found[0] for one in found)
    assert set(found[0]) == ({"loss", "more"} if rank == 0 else {"loss", "mae"})
    assert (found[0]["loss"] == [-1.0, -1.0]) == (rank == 0)


@pytest.mark.ranks(2, 3)
def test_roots_number_that_rides_is_not_lost_where_another_rank_wrote_something(comm: Communicator) -> None:
    class Own(Callback):
        ranks = "root"

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            logs["rate"] = float(batch)

    class Common(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if comm.rank == 1 and batch == 3:
                logs["of one rank"] = 1.0

    seen: list[float] = []
    reader = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs.get("rate")))
    regression(comm).fit(*line(), batch_size=2, verbose=0, callbacks=[Common(), Own(), reader])
    assert seen == [0.0, 1.0, 2.0, 3.0, 4.0]
