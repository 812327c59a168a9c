"""Evaluates with the moving averages of the weights, and trains on with the weights themselves."""

from __future__ import annotations

import zlib
from typing import Any, Literal

import numpy as np

from distfit.callbacks.callback import Callback, Logs


class SwapEMAWeights(Callback):
    """Puts the moving averages of the weights in the weights' place while the model evaluates or predicts.

    Averages of weights are due to Polyak and Juditsky (1992); the optimizer keeps them, if it is made with
    ``use_ema=True``.

    Args:
        swap_on_epoch: whether they stand there from the end of an epoch to the start of the next one, too, for the
            callbacks behind this one: a `ModelCheckpoint` saves the averages then.

    Raises:
        CollectiveInRootHook: at the start of training, if it is to run on root alone.
        ValueError: at the start of training, evaluation or prediction, if the optimizer keeps no averages.

    The weights are kept aside, and the averages are copied, not exchanged: whatever ends the training, its last epoch,
    another callback or an error, the averages are still those. (Keras exchanges them, and loses them where training
    ends before its last epoch; after a prediction it does not put the weights back.) If weights were written meanwhile,
    by `load_weights` or another callback, those stay.

    With `swap_on_epoch` the callbacks behind it save the averages. A `BackupAndRestore` saves both, wherever it stands.

    Example:
        >>> import numpy as np
        >>> from distfit import Sequential, callbacks, layers, optimizers
        >>> model = Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9), loss="mean_squared_error")
        >>> x, y = np.ones((4, 1)), np.ones((4, 1))
        >>> swap = callbacks.SwapEMAWeights()
        >>> history = model.fit(x, y, epochs=3, validation_data=(x, y), callbacks=[swap], verbose=0)
        >>> sorted(history.history)
        ['loss', 'val_loss']

    Ranks: all, each its own copy, which is the same on all; nothing is sent. Given to an `evaluate` or `predict` that
        root makes alone, root alone puts them there and back.
    """

    state_names = ("_own", "_checksum", "_since")

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = swap_on_epoch
        self._own: np.ndarray | None = None  # the weights themselves, while the averages are in their place
        self._checksum = 0  # of the averages there
        self._since: Literal["epoch", "test", "predict"] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self.model.comm.require_all_ranks(
            "SwapEMAWeights in fit"
        )  # root's averages alone would not be root's weights
        self._put_back()  # after a loop of one's own that ended with an error
        self._require_averages()

    def on_train_end(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._forget()  # a training ends with the averages in place, with and without this callback

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._put_back()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:  # noqa: ARG002
        if self.swap_on_epoch:
            self._put_averages("epoch")

    def on_test_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._put_averages("test")

    def on_test_end(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._put_back_since("test")

    def on_predict_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._put_averages("predict")

    def on_predict_end(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._put_back_since("predict")

    def on_exception(self, error: BaseException) -> None:  # noqa: ARG002
        self._put_back()

    def _require_averages(self) -> Any:
        """Return the optimizer, which keeps averages."""
        optimizer = self.model.optimizer
        if optimizer is None or not optimizer.use_ema:
            raise ValueError(
                "SwapEMAWeights needs the optimizer's moving averages: compile the model with one that is made with"
                f" use_ema=True. Received: {'none' if optimizer is None else optimizer.name}"
            )
        return optimizer

    def _put_averages(self, since: Literal["epoch", "test", "predict"]) -> None:
        optimizer, weights = self._require_averages(), self.model.engine.parameters
        if (
            self._own is None
        ):  # else they are there: this is an evaluation within another one, or between epochs
            self._own, self._since = weights.copy(), since
            # By the buffer, not by `set_weights`: that would be a change, which root sends to all ranks.
            optimizer.finalize_ema(weights)
            self._checksum = zlib.crc32(weights)

    def _put_back_since(self, since: Literal["epoch", "test", "predict"]) -> None:
        if self._since == since:
            self._put_back()

    def _put_back(self) -> None:
        weights, own = self.model.engine.parameters, self._own
        if own is not None and zlib.crc32(weights) == self._checksum:
            np.copyto(weights, own)
        self._forget()

    def _forget(self) -> None:
        self._own, self._since = None, None
