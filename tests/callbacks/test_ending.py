"""How a training ends before its time: by an error, or because a signal or a callback asks it to."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit.callbacks import BackupAndRestore, Callback, LambdaCallback, on_root
from distfit.comm import Communicator


class Order(Callback):
    """Notes the hooks in which a training ends."""

    def __init__(self) -> None:
        self.hooks: list[str] = []
        for hook in ("on_interrupt", "on_test_begin", "on_epoch_end", "on_train_end", "on_exception"):
            setattr(self, hook, lambda *_, hook=hook: self.hooks.append(hook))


def train(*callbacks: Any, epochs: int = 3) -> Any:
    model, (x, y) = regression(Communicator.alone()), line()
    model.fit(x, y, batch_size=4, epochs=epochs, verbose=0, validation_data=(x, y), callbacks=list(callbacks))
    return model


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_ends_training_at_its_batch_and_in_order(number: int) -> None:
    batches: list[int] = []

    def send(batch: int, logs: Any) -> None:
        batches.append(batch)
        if batch == 1:
            os.kill(os.getpid(), number)

    order = Order()
    model = train(order, LambdaCallback(on_train_batch_end=send))
    assert batches[:2] == [0, 1]
    assert len(batches) <= 3  # at the next agreement: this hook's, or the next step's
    assert order.hooks == ["on_interrupt", "on_test_begin", "on_epoch_end", "on_train_end"]
    assert model.interrupted
    again = Order()
    model.fit(*line(), batch_size=4, verbose=0, callbacks=[again])  # the request was heeded
    assert not model.interrupted
    assert again.hooks == ["on_epoch_end", "on_train_end"]


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_train_batch_end", "on_test_end", "on_epoch_end"])
def test_on_interrupt_is_called_once_wherever_the_request_comes(hook: str) -> None:
    order = Order()

    def interrupt(*_: Any) -> None:
        order.model.stop_training = order.model.interrupted = True

    train(order, LambdaCallback(**{hook: interrupt}))
    assert order.hooks.count("on_interrupt") == 1
    assert order.hooks[-1] == "on_train_end"


def test_an_error_calls_on_exception_instead_of_the_end() -> None:
    seen: list[BaseException] = []
    order = Order()
    with pytest.raises(OSError, match="tape") as caught:
        train(
            order,
            on_root(LambdaCallback(on_exception=seen.append)),
            LambdaCallback(on_epoch_end=lambda *_: (_ for _ in ()).throw(OSError("tape"))),
        )
    assert order.hooks == ["on_test_begin", "on_epoch_end", "on_exception"]
    assert seen == [caught.value]


@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_evaluate_and_predict_call_it_too(method: str) -> None:
    order, model, (x, y) = Order(), regression(Communicator.alone()), line()
    fail = LambdaCallback(on_test_batch_end=lambda *_: {}["gone"], on_predict_batch_end=lambda *_: {}["gone"])
    with pytest.raises(KeyError, match="gone"):
        getattr(model, method)(x, *[y] * (method == "evaluate"), verbose=0, callbacks=[order, fail])
    assert order.hooks[-1] == "on_exception"


def test_an_error_in_on_exception_is_shown_and_hides_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    order = Order()
    with pytest.raises(OSError, match="tape"):
        train(
            LambdaCallback(on_exception=lambda error: {}["lost"]),
            order,
            LambdaCallback(on_epoch_end=lambda *_: (_ for _ in ()).throw(OSError("tape"))),
        )
    assert order.hooks[-1] == "on_exception"
    assert "LambdaCallback.on_exception failed after a OSError" in capsys.readouterr().err


def test_a_backup_waits_for_the_next_job_where_a_signal_ended_this_one(tmp_path: Path) -> None:
    def interrupt(batch: int, logs: Any) -> None:
        if model.optimizer.iterations == 4:  # the first of three batches of the second epoch
            os.kill(os.getpid(), signal.SIGUSR1)

    through = train(epochs=4)
    model = regression(Communicator.alone())
    x, y = line()
    options: dict[str, Any] = {"batch_size": 4, "verbose": 0, "validation_data": (x, y), "epochs": 4}
    model.fit(
        x,
        y,
        callbacks=[BackupAndRestore(tmp_path / "backup"), LambdaCallback(on_train_batch_end=interrupt)],
        **options,
    )
    assert model.history.epoch == [0, 1]
    again = regression(Communicator.alone())
    again.fit(x, y, callbacks=[BackupAndRestore(tmp_path / "backup")], **options)
    assert again.history.epoch == [0, 1, 2, 3]
    assert again.history.history == through.history.history
    for weight, expected in zip(again.get_weights(), through.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert not any(tmp_path.iterdir())  # it has served
