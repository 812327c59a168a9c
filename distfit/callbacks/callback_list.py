"""Calls hooks on the ranks where they run, and lets all ranks agree on what they did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from distfit.callbacks.callback import Logs
from distfit.callbacks.effects import Effects
from distfit.callbacks.history import History
from distfit.callbacks.hooks import ALL_HOOKS, Hook, overridden, ranks_of, runs
from distfit.callbacks.logs import AggregatedLogs, aggregate
from distfit.callbacks.progbar_logger import ProgbarLogger
from distfit.comm import Communicator


class CallbackList:
    """A list of callbacks that is called as one.

    `fit` makes one; a custom loop drives its own. In epoch, train, test and predict hooks the ranks agree after each
    run of neighbours with equal `ranks`, so that a later callback sees, or after an error does not run, exactly what it
    would in one process. In batch hooks they agree once, at the end.

    Why no rank waits in vain: which hooks exist is read once at the start, and is equal on all ranks, so that all know
    how many agreements follow. A hook that raises leaves through `Communicator.guard`, which joins the next of them.

    Args:
        callbacks: a callback, or lists of them.
        add_history: whether a `History` is added, behind the others.
        add_progbar: whether a `ProgbarLogger` is added, unless there is one.
        model: the model that is trained.
        comm: the ranks. Defaults to the model's, or to all ranks of the job.
        params: what callbacks find in `Callback.params`.

    Example (a loop of one's own):
        >>> import numpy as np
        >>> from distfit import Sequential, callbacks, layers
        >>> model = Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile(loss="mean_squared_error")
        >>> history = callbacks.History()
        >>> hooks = callbacks.CallbackList([history], model=model, epochs=1)
        >>> hooks.on_train_begin()
        >>> hooks.on_epoch_begin(0)
        >>> logs = model.train_step((np.array([[1.0]]), np.array([[1.0]])))
        >>> hooks.on_epoch_end(0, logs)
        >>> hooks.on_train_end(logs)
        >>> history.epoch
        [0]

    Ranks: the `on_` methods are for all ranks together; each sends one small message for each run of hooks, none where
        no callback has the hook.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        comm: Communicator | None = None,
        **params: Any,
    ) -> None:
        self.callbacks: list[Any] = list(_flattened(callbacks))
        self.params = params
        self.model: Any = None
        self._effects = Effects(None)
        self._comm = comm
        self._add_defaults(add_history, add_progbar)
        self._read_hooks()
        if model is not None:
            self.set_model(model)
        if params:
            self.set_params(params)

    def _add_defaults(self, add_history: bool, add_progbar: bool) -> None:
        if add_history and not any(isinstance(c, History) for c in self.callbacks):
            self.callbacks.append(History())
        if add_progbar and not any(isinstance(c, ProgbarLogger) for c in self.callbacks):
            self.callbacks.append(ProgbarLogger())

    def append(self, callback: Any) -> None:
        """Add a callback at the end."""
        self.callbacks.append(callback)
        if self.model is not None:
            callback.set_model(self.model)
        if self.params:
            callback.set_params(self.params)
        self._read_hooks()

    def set_model(self, model: Any) -> None:
        """Give all callbacks the model."""
        self.model = model
        self._effects = Effects(model)
        for callback in self.callbacks:
            callback.set_model(model)
        self._read_hooks()

    def set_params(self, params: dict[str, Any]) -> None:
        """Give all callbacks the parameters of the call."""
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)
        self._read_hooks()  # which of them a callback has may follow from the parameters

    @property
    def comm(self) -> Communicator:
        """The ranks that the hooks are for: those of the model, unless the list was given others."""
        if self._comm is None:
            self._comm = self.model.comm if self.model is not None else Communicator.world()
        return self._comm

    def places(self) -> str:
        """Return which callback runs where, on one line."""
        words = {"all": "on all ranks", "root": "on root", "local_root": "once on each node"}
        by_place: dict[str, list[str]] = {}
        for callback in self.callbacks:
            by_place.setdefault(words[ranks_of(callback)], []).append(type(callback).__name__)
        return "; ".join(f"{', '.join(names)} {place}" for place, names in by_place.items())

    def has_hook(self, name: str) -> bool:
        """Say whether any callback, on whichever rank, has this hook."""
        return bool(self._hooks[name])

    def _read_hooks(self) -> None:
        self._hooks: dict[str, list[Hook]] = {hook: overridden(self.callbacks, hook) for hook in ALL_HOOKS}

    # -- dispatch -----------------------------------------------------------------------------------------------------

    def _phase(self, name: str, *arguments: Any, logs: Logs | None) -> None:
        """Run the hooks of an epoch or a whole call: an agreement after each run of neighbours with equal ranks."""
        if not self._hooks[name]:
            return
        comm = self.comm.current
        with comm.guard():
            logs = aggregate(logs, comm, name)
            for ranks, hooks in runs(self._hooks[name]):
                self._effects.note()
                added = self._run(hooks, arguments, logs, is_all=ranks == "all")
                self._effects.settle(comm, name, logs, added)

    def _batch(self, name: str, batch: int, logs: Logs | None, *, agree: bool) -> None:
        """Run the hooks of a batch, and agree once behind them all."""
        comm = self.comm.current
        hooks = self._hooks[name]
        with comm.guard():
            logs = aggregate(logs, comm, name)
            self._effects.note()
            added: Logs = {}
            for ranks, neighbours in runs(hooks):
                seen = logs if ranks == "all" else AggregatedLogs({**logs, **added})
                added.update(self._run(neighbours, (batch,), seen, is_all=ranks == "all"))
            if agree or any(hook.ranks != "all" for hook in hooks):
                self._effects.settle(comm, name, logs, added)

    def _run(self, hooks: list[Hook], arguments: tuple[Any, ...], logs: Logs, *, is_all: bool) -> Logs:
        """Run hooks of equal ranks, if this is one of them; return what they added to the logs or changed in them."""
        if is_all:
            for hook in hooks:
                hook.call(*arguments, logs)
            return {}
        if not self.comm.current.is_among(hooks[0].ranks):
            return {}
        own = AggregatedLogs(logs)
        for hook in hooks:
            # A hook that not all ranks run works alone: no collective in it can wait for the others.
            with self.comm.solo(hook.name):
                hook.call(*arguments, own)
        return {key: value for key, value in own.items() if key not in logs or logs[key] is not value}

    # -- the hooks ----------------------------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Training begins: also the moment at which the callbacks' hooks are read."""
        self._read_hooks()
        self._phase("on_train_begin", logs=logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Training has ended."""
        self._phase("on_train_end", logs=logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """An epoch begins."""
        self._phase("on_epoch_begin", epoch, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """An epoch and its validation have ended."""
        self._phase("on_epoch_end", epoch, logs=logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """An evaluation begins."""
        self._phase("on_test_begin", logs=logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """An evaluation has ended."""
        self._phase("on_test_end", logs=logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """A prediction begins."""
        self._phase("on_predict_begin", logs=logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """A prediction has ended."""
        self._phase("on_predict_end", logs=logs)

    # Batch hooks are on the hot path: where no callback has one, it costs a look into a dict.

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A training batch begins."""
        if self._hooks["on_train_batch_begin"]:
            self._batch("on_train_batch_begin", batch, logs, agree=False)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A training batch has ended."""
        if self._hooks["on_train_batch_end"]:
            self._batch("on_train_batch_end", batch, logs, agree=True)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A batch of an evaluation begins."""
        if self._hooks["on_test_batch_begin"]:
            self._batch("on_test_batch_begin", batch, logs, agree=False)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A batch of an evaluation has ended."""
        if self._hooks["on_test_batch_end"]:
            self._batch("on_test_batch_end", batch, logs, agree=True)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A batch of a prediction begins."""
        if self._hooks["on_predict_batch_begin"]:
            self._batch("on_predict_batch_begin", batch, logs, agree=False)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A batch of a prediction has ended."""
        if self._hooks["on_predict_batch_end"]:
            self._batch("on_predict_batch_end", batch, logs, agree=True)

    # Keras's older names.
    on_batch_begin = on_train_batch_begin
    on_batch_end = on_train_batch_end


def _flattened(callbacks: Any) -> Iterable[Any]:
    if callbacks is None:
        return
    if isinstance(callbacks, CallbackList):
        yield from callbacks.callbacks
    elif isinstance(callbacks, (list, tuple)):
        for callback in callbacks:
            yield from _flattened(callback)
    else:
        yield callbacks
