"""Shows on root how far training has come: a progress bar, or a line for each epoch."""

from __future__ import annotations

import sys
import time
from numbers import Real
from typing import Any

from tqdm import tqdm

from distfit.callbacks.callback import Callback, Logs, Ranks


class ProgbarLogger(Callback):
    """Shows how far training has come.

    With ``verbose=1`` it draws a bar, which takes a batch hook and so one more small message a step, and prints a line
    when an epoch has ended; with ``verbose=2`` it prints the line alone, and costs nothing in between.
    ``verbose="auto"`` means the bar on a terminal, and lines elsewhere: under `mpirun` the output is no terminal. With
    ``verbose=0`` it is silent. The validation of an epoch has no bar and no line of its own.

    Example:
        >>> from distfit import callbacks
        >>> bar = callbacks.ProgbarLogger()
        >>> bar.set_params({"verbose": 2, "epochs": 3, "steps": 10})
        >>> bar.on_epoch_begin(0)
        >>> bar.on_epoch_end(0, {"loss": 0.5})  # doctest: +ELLIPSIS
        Epoch 1/3 - ...s - loss: 0.5

    Ranks: root. Which hooks it has follows from `verbose` alone, so that it is the same on all ranks.
    """

    ranks: Ranks = "root"

    def __init__(self) -> None:
        self._bar: Any = None
        self._verbose: Any = 1
        self._in_fit = False
        self._epoch = 0
        self._start_s = 0.0

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        self._verbose = params.get("verbose", 1)
        self._in_fit = False
        draw = {
            "on_train_batch_end": self._draw,
            "on_test_batch_end": self._draw_evaluation,
            # At the beginning: for a hook at the end of a batch, its outputs would be gathered from all ranks.
            "on_predict_batch_begin": self._draw_begun,
        }
        for hook in draw:
            vars(self).pop(hook, None)
        if self._has_bar:
            vars(self).update(draw)

    @property
    def _has_bar(self) -> bool:
        return self._verbose in (1, "auto")

    def on_train_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._in_fit = True

    def on_train_end(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._epoch = epoch
        self._open(self._title())

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._close(self._title(), logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        if not self._in_fit:
            self._open("Evaluate")

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._close("Evaluate", logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._open("Predict")

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._close("Predict", logs)

    def on_exception(self, error: BaseException) -> None:  # noqa: ARG002
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _title(self) -> str:
        return f"Epoch {self._epoch + 1}/{(self.params or {}).get('epochs', '?')}"

    def _open(self, title: str) -> None:
        self._start_s = time.perf_counter()
        if self._has_bar:
            self._bar = tqdm(
                total=(self.params or {}).get("steps"),
                desc=title,
                unit="batch",
                file=sys.stdout,
                leave=False,
                disable=None,  # where that is no terminal
            )

    def _draw(self, batch: int, logs: Logs | None = None) -> None:
        if self._bar is not None and not self._bar.disable:
            self._bar.set_postfix_str(_values(logs), refresh=False)
            self._bar.update(batch + 1 - self._bar.n)

    def _draw_begun(self, batch: int, logs: Logs | None = None) -> None:
        self._draw(batch - 1, logs)

    def _draw_evaluation(self, batch: int, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._draw(batch, logs)

    def _close(self, title: str, logs: Logs | None) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if self._verbose:
            seconds = time.perf_counter() - self._start_s
            print(" - ".join(filter(None, [title, f"{seconds:.1f}s", _values(logs)])), flush=True)  # noqa: T201


def _values(logs: Logs | None) -> str:
    numbers = {key: value for key, value in (logs or {}).items() if isinstance(value, Real)}
    return " - ".join(f"{key}: {float(value):.4g}" for key, value in numbers.items())
