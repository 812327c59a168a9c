"""What is shown: nothing, a bar on a terminal, or a line for each epoch."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import termios
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit.callbacks import Callback, CallbackList, LambdaCallback, ProgbarLogger
from distfit.comm import Communicator


def fit(verbose: Any, **options: Any) -> None:
    model = regression(Communicator.alone())
    model.fit(*line(), batch_size=4, **{"epochs": 2, "verbose": verbose, **options})


def without_times(text: str) -> list[str]:
    return re.sub(r"\d+\.\ds", "#s", text).splitlines()


@pytest.mark.parametrize("verbose", [2, "auto", 1])
def test_a_line_for_each_epoch_where_there_is_no_terminal(
    verbose: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(verbose, validation_split=0.2)
    first, second = without_times(capsys.readouterr().out)
    number = r"[\d.e-]+"
    for text, epoch in ((first, 1), (second, 2)):
        pattern = (
            rf"Epoch {epoch}/2 - #s - loss: {number} - mae: {number} - val_loss: {number} - val_mae: {number}"
        )
        assert re.fullmatch(pattern, text)


@pytest.mark.parametrize("callbacks", [None, [ProgbarLogger()]])
def test_silence(callbacks: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fit(0, callbacks=callbacks, validation_split=0.2)
    model = regression(Communicator.alone())
    model.evaluate(*line(), verbose=0, callbacks=callbacks)
    model.predict(line()[0], verbose=0, callbacks=callbacks)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_lines_of_evaluate_and_predict(capsys: pytest.CaptureFixture[str]) -> None:
    model = regression(Communicator.alone())
    model.evaluate(*line(), verbose=2)
    model.predict(line()[0], verbose=2)
    evaluated, predicted = without_times(capsys.readouterr().out)
    assert re.fullmatch(r"Evaluate - #s - loss: [\d.]+ - mae: [\d.]+", evaluated)
    assert predicted == "Predict - #s"


def test_values_have_four_digits_and_what_is_no_number_is_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bar = ProgbarLogger()
    bar.set_params({"verbose": 2, "epochs": 3, "steps": 1})
    bar.on_epoch_begin(1)
    bar.on_epoch_end(
        1, {"loss": 0.123456, "note": "slow", "none": None, "counts": np.ones(3), "rate": np.float32(1e-5)}
    )
    assert without_times(capsys.readouterr().out) == ["Epoch 2/3 - #s - loss: 0.1235 - rate: 1e-05"]


class Keys(Callback):
    """Adds a key to the logs of an epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["speed"] = 2.0


def test_keys_that_other_callbacks_add_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    fit(2, callbacks=[Keys()], epochs=1)
    assert "speed: 2" in capsys.readouterr().out


def test_ones_own_takes_the_place_of_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    fit(2, callbacks=[ProgbarLogger()], epochs=1)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_an_evaluation_after_a_failed_fit_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(epoch: int, logs: Any) -> None:
        raise OSError("disk full")

    bar, model = ProgbarLogger(), regression(Communicator.alone())
    with pytest.raises(OSError, match="disk full"):
        model.fit(*line(), verbose=2, callbacks=[LambdaCallback(on_epoch_end=fail), bar])
    model.evaluate(*line(), verbose=2, callbacks=[bar])
    assert capsys.readouterr().out.startswith("Evaluate")


def on_a_terminal(action: Callable[[], None]) -> str:
    """Let the output be a terminal, and return what is written to it."""
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("4H", 24, 120, 0, 0))  # a new one has no size
    os.set_blocking(reading, False)  # a test that writes nothing fails, and does not hang
    with os.fdopen(writing, "w") as screen, os.fdopen(reading, "rb") as camera:
        with contextlib.redirect_stdout(screen):
            action()
        return camera.read(100_000).decode()


def slow() -> LambdaCallback:
    """Let a batch take long enough for the bar to be drawn again."""

    def wait(*args: Any) -> None:
        time.sleep(0.11)

    return LambdaCallback(on_train_batch_end=wait, on_test_batch_end=wait, on_predict_batch_end=wait)


@pytest.mark.parametrize("verbose", [1, "auto"])
def test_a_bar_on_a_terminal(verbose: Any) -> None:
    text = on_a_terminal(lambda: fit(verbose, callbacks=[slow()], epochs=1))
    assert re.search(r"Epoch 1/1: +0%\|.*\| 0/3 ", text)
    assert re.search(r"Epoch 1/1: +67%\|.*\| 2/3 .*loss: [\d.]+ - mae: [\d.]+", text)
    assert re.search(r"\rEpoch 1/1 - [\d.]+s - loss: [\d.]+ - mae: [\d.]+\r\n$", text)


def test_lines_on_a_terminal_have_no_bar() -> None:
    text = on_a_terminal(lambda: fit(2, epochs=1))
    assert re.fullmatch(r"Epoch 1/1 - [\d.]+s - loss: [\d.]+ - mae: [\d.]+\r\n", text)


def test_the_bar_counts_no_batches_of_the_validation() -> None:
    x, y = line(20)
    text = on_a_terminal(lambda: fit(1, callbacks=[slow()], epochs=1, validation_data=(x, y)))
    counts = re.findall(r"(\d+)/(\d+) \[", text)
    assert counts
    assert all(int(n) <= int(of) == 3 for n, of in counts)


def test_a_bar_asks_for_no_outputs_of_batches() -> None:
    """They would be gathered from all ranks."""
    for verbose in (0, 1, 2):
        hooks = CallbackList([ProgbarLogger()], verbose=verbose)
        assert not hooks.has_hook("on_predict_batch_end")
        assert hooks.has_hook("on_predict_batch_begin") == (verbose == 1)


@pytest.mark.parametrize(("call", "title"), [("evaluate", "Evaluate"), ("predict", "Predict")])
def test_a_bar_for_evaluate_and_predict(call: str, title: str) -> None:
    model, (x, y) = regression(Communicator.alone()), line()
    data = (x, y) if call == "evaluate" else (x,)
    text = on_a_terminal(lambda: getattr(model, call)(*data, batch_size=4, callbacks=[slow()]))
    assert re.search(rf"{title}: +67%\|.*\| 2/3 ", text)
    assert re.search(rf"\r{title} - [\d.]+s", text)
