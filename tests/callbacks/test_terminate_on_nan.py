"""A training whose loss is no number any more."""

from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit.callbacks import Callback, TerminateOnNaN
from distfit.comm import Communicator


class Calls(Callback):
    """Notes which hooks were called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.calls.append(f"batch {batch}")

    def on_test_end(self, logs: Any = None) -> None:
        self.calls.append("test")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.calls.append(f"epoch {epoch}")

    def on_train_end(self, logs: Any = None) -> None:
        self.calls.append("train")


def fit(callback: TerminateOnNaN, value: float) -> list[str]:
    """Train on 10 rows, 4 in a batch, of which the sixth has such a target, and validate on others."""
    (x, y), calls = line(), Calls()
    wrong = y.copy()
    wrong[5] = value
    model = regression(Communicator.alone())
    with np.errstate(all="ignore"):
        model.fit(
            x, wrong, batch_size=4, epochs=3, shuffle=False, verbose=0,
            validation_data=(x, y), callbacks=[callback, calls],
        )  # fmt: skip
    return calls.calls


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_training_ends_at_the_batch_and_the_epoch_s_hooks_run(
    value: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """As Keras 3.15.1 does, which was run on such data."""
    assert fit(TerminateOnNaN(), value) == ["batch 0", "batch 1", "test", "epoch 0", "train"]
    assert "Batch 1: the loss is" in capsys.readouterr().out


def test_an_error_ends_it_at_once() -> None:
    with pytest.raises(RuntimeError, match="the loss is nan at batch 1"):
        fit(TerminateOnNaN(raise_error=True), np.nan)


def test_a_number_is_no_reason_to_end() -> None:
    assert len(fit(TerminateOnNaN(), 1.0)) == 3 * 5 + 1


def test_logs_without_a_loss_are_none_either() -> None:
    TerminateOnNaN(raise_error=True).on_train_batch_end(0, {"mae": np.nan})
    TerminateOnNaN(raise_error=True).on_train_batch_end(0)
