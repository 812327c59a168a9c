"""Promise 3: what a hook does holds on every rank, and a callback behind it sees what it would in one process."""

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit import RemoteError
from distfit.callbacks import Callback, on_local_root, on_root
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
    monkeypatch.setitem(vars(comm), "_node", (comm.rank % 2, 2))
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
    monkeypatch.setitem(vars(comm), "_node", (0, 1))
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
@pytest.mark.filterwarnings("default")
def test_learning_rates_that_differ_are_root_s_and_there_is_one_warning(
    comm: Communicator, hook: str, recwarn: pytest.WarningsRecorder
) -> None:
    model = regression(comm)
    model.fit(*line(), batch_size=4, epochs=3, verbose=0, callbacks=[Draws(hook)])
    assert model.optimizer.learning_rate == 0.01
    told = [str(warning.message) for warning in recwarn if "different numbers" in str(warning.message)]
    assert len(told) == (1 if comm.is_root else 0)
    for text in told:
        assert "root's hold on all: learning_rate = 0.01" in text
