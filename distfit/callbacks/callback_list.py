"""Calls hooks on the ranks where they run, and lets all ranks agree on what they did."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from distfit.callbacks.callback import Callback, Logs
from distfit.callbacks.dispatch.calls import Dispatch, close_alone, dispatch_of
from distfit.callbacks.dispatch.effects import Effects, Shared
from distfit.callbacks.dispatch.hooks import ALL_HOOKS, BATCH_HOOKS
from distfit.callbacks.dispatch.placement import Placed, PlacedCallbacks, flattened
from distfit.callbacks.dispatch.roster import Roster
from distfit.callbacks.history import History
from distfit.callbacks.progbar_logger import ProgbarLogger
from distfit.comm import Communicator

if TYPE_CHECKING:
    from mpi4py import MPI  # noqa: TID251 - a type in a signature; nothing is imported at run time


class CallbackList(PlacedCallbacks):
    """A list of callbacks that is called as one.

    `fit` makes one; a custom loop drives its own. In epoch, train, test and predict hooks the ranks agree after each
    run of neighbours with equal `ranks`, so that a later callback sees, or after an error does not run, exactly what it
    would in one process. In batch hooks they agree once, at the end; and once more before a callback on all ranks that
    stands behind one that is not.

    `on_train_begin`, and `on_test_begin` and `on_predict_begin` outside of training, begin with an agreement on the
    callbacks themselves: all ranks have the same ones, in the same order. A callback that root alone has runs on root.

    Args:
        callbacks: a callback, or lists of them. `on_root`, `on_all` and `on_local_root` say where one runs.
        add_history: whether a `History` is added, behind the others.
        add_progbar: whether a `ProgbarLogger` is added, unless there is one.
        model: the model that is trained.
        comm: the ranks, as distfit's or mpi4py's communicator. Defaults to the model's, or to all ranks of the job.
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
        comm: Communicator | MPI.Comm | None = None,
        **params: Any,
    ) -> None:
        self._placed: list[Placed] = []
        self.params: dict[str, Any] = {}
        self.model: Any = None
        self._comm = comm if comm is None or isinstance(comm, Communicator) else Communicator.from_mpi(comm)
        self._effects = Effects(None)
        self._in_training = self._interrupted = self._before_step = False
        self._states: dict[str, Any] = {}
        self.append(callbacks)
        if add_history and not self._has(History):
            self.append(History())
        if add_progbar and not self._has(ProgbarLogger):
            self.append(ProgbarLogger())
        if model is not None:
            self.set_model(model)
        if params:
            self.set_params(params)

    @property
    def callbacks(self) -> list[Any]:
        """The callbacks, in the order in which they are called."""
        return [placed.callback for placed in self._placed]

    @property
    def placed(self) -> list[Placed]:
        """The callbacks, with where they run: a list within a list is its callbacks."""
        return self._placed

    def _has(self, kind: type[Callback]) -> bool:
        """Say whether a callback of this kind is there, and runs where its class says."""
        return any(isinstance(one.callback, kind) and one.ranks == kind.ranks for one in self._placed)

    def append(self, callbacks: Any) -> None:
        """Add a callback, or lists of them, at the end. In the midst of a training it is for the next one.

        Ranks: local; the next beginning agrees on it.
        """
        for placed in flattened(callbacks):
            self._placed.append(placed)
            if self.model is not None:
                _set(placed.callback, "set_model", self.model)
            if self.params:
                _set(placed.callback, "set_params", self.params)
        if not self._in_training:
            self._read_again()

    def set_model(self, model: Any) -> None:
        """Give all callbacks the model."""
        self.model = model
        self._effects = Effects(model)
        for callback in self.callbacks:
            _set(callback, "set_model", model)
        self._read_again()

    def set_params(self, params: dict[str, Any]) -> None:
        """Give all callbacks the parameters of the call."""
        self.params = params
        for callback in self.callbacks:
            _set(callback, "set_params", params)
        self._read_again()

    @property
    def comm(self) -> Communicator:
        """The ranks that the hooks are for: those of the model, unless the list was given others.

        Raises:
            ValueError: if it was given others than the model has: an error could not reach both.
        """
        if self._comm is None:
            self._comm = self.model.comm if isinstance(self.model, Shared) else Communicator.world()
        if isinstance(self.model, Shared) and self._comm is not self.model.comm:
            raise ValueError(
                "the CallbackList was given another communicator than its model. Make it with model=model alone, or the"
                " model with the same comm"
            )
        return self._comm

    def places(self) -> str:
        """Return which callback runs where, on one line."""
        return self._roster.places()

    def has_hook(self, name: str) -> bool:
        """Say whether any callback, on whichever rank, has this hook."""
        return self._dispatches[name] is not None

    # -- which hooks there are, and how they are called ---------------------------------------------------------------

    @functools.cached_property
    def _roster(self) -> Roster:
        """The callbacks and the hooks that they have; of all ranks, once these have agreed."""
        return Roster(self._placed)

    @functools.cached_property
    def _dispatches(self) -> dict[str, Dispatch | None]:
        comm = self.comm.current
        dispatches = {
            name: dispatch_of(
                name, self._roster.hooks(name), comm, self._effects, before_step=self._before_step
            )
            for name in ALL_HOOKS
        }
        # Batch hooks are on the hot path: from now on the list's own are those of the dispatch, without a detour.
        for name in BATCH_HOOKS:
            dispatch = dispatches[name]
            vars(self)[name] = _nothing if dispatch is None else dispatch.batch
        return dispatches

    def _read_again(self) -> None:
        """Let the hooks be read when they are next needed: they may follow from the model or the parameters."""
        for name in ("_roster", "_dispatches", *BATCH_HOOKS):
            vars(self).pop(name, None)

    def _begin(self) -> None:
        """Read the hooks, and agree on them with the other ranks."""
        self._read_again()
        comm = self.comm.current
        for callback in self.callbacks:
            if isinstance(callback, Callback):
                callback.set_comm(comm)
        with comm.guard():
            self._roster.agree(comm)

    def _phase(self, name: str, *arguments: Any, logs: Logs | None) -> None:
        dispatch = self._dispatches[name]
        if dispatch is not None:
            dispatch.phase(arguments, logs)

    def _batch(self, name: str, batch: int, logs: Logs | None) -> None:
        dispatch = self._dispatches[name]
        if dispatch is not None:
            dispatch.batch(batch, logs)

    # -- how far the callbacks have come ------------------------------------------------------------------------------

    def states(self) -> dict[str, Any]:
        """Return how far the callbacks have come, by their names: what a checkpoint holds of them.

        Ranks: local; of those that run on this rank.
        """
        states = {name: callback.state_dict() for name, callback in self._stateful()}
        return {name: state for name, state in states.items() if state}

    def collect(self) -> None:
        """Let callbacks bring to root what only other ranks know, before `states` is called there.

        Ranks: every rank; what the callbacks send, and mostly nothing.
        """
        for callback in self.callbacks:
            if isinstance(callback, Callback):
                callback.collect(self.comm)

    def expect_states(self, states: dict[str, Any]) -> list[str]:
        """Go on from there in the training that begins next: behind `on_train_begin`, which begins anew.

        Args:
            states: what `states` returned on root.

        Returns:
            What there is to say of callbacks that are not those of the states, and begin anew.

        Ranks: local, on all ranks alike.
        """
        here = Counter(type(one).__name__ for one in self.callbacks)
        there = Counter(name.partition(" ")[0] for name in states)
        foreign = sorted({type(one).__name__ for one in self.callbacks if not isinstance(one, Callback)})
        # Which of several was which, their number no longer tells.
        other = sorted(name for name in there if here[name] != there[name])
        self._states = {name: state for name, state in states.items() if name.partition(" ")[0] not in other}
        told = [
            f"the checkpoint has {there[name]} {name}, and fit {here[name]}: none goes on" for name in other
        ]
        return told + [f"{name}, which is no distfit callback, begins anew" for name in foreign]

    def load_states(self) -> None:
        """Go on from the states that the training was told to expect.

        Ranks: local, on all ranks alike, in a training; each callback where it runs.
        """
        with self.comm.guard():
            for name, callback in self._stateful():
                if name in self._states:
                    callback.load_state_dict(self._states[name])

    def _stateful(self) -> Iterator[tuple[str, Callback]]:
        """Yield distfit's callbacks that run on this rank, each under a name that is the same on all ranks."""
        for name, ranks, index in self._roster.named():
            if index is not None and self.comm.is_among(ranks):
                callback = self._placed[index].callback
                if isinstance(callback, Callback):
                    yield name, callback

    # -- the hooks ----------------------------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Training begins: the moment at which the callbacks' hooks are read, and agreed on."""
        self._begin()
        self._in_training, self._interrupted = True, False
        if self.params.get("verbose"):
            self.comm.announce(self.places())
        for name, callback in self._stateful():
            callback.is_resumed = name in self._states
        self._phase("on_train_begin", logs=logs)
        self.load_states()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Training has ended."""
        self._phase("on_train_end", logs=logs)
        self._in_training = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """An epoch begins."""
        self._phase("on_epoch_begin", epoch, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """An epoch and its validation have ended."""
        self._phase("on_epoch_end", epoch, logs=logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """An evaluation begins."""
        if not self._in_training:
            self._begin()
        self._phase("on_test_begin", logs=logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """An evaluation has ended."""
        self._phase("on_test_end", logs=logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """A prediction begins."""
        if not self._in_training:
            self._begin()
        self._phase("on_predict_begin", logs=logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """A prediction has ended."""
        self._phase("on_predict_end", logs=logs)

    def on_interrupt(self, logs: Logs | None = None) -> None:
        """The training is asked to end before it is done. Only the first call in a training does anything."""
        if not self._interrupted:
            self._interrupted = True
            self._phase("on_interrupt", logs=logs)

    def on_exception(self, error: BaseException) -> None:
        """The call ends with an error: tell the other ranks, and let callbacks close what they have open.

        Ranks: every rank; those that failed join the next agreement of the others, which brings them here, too.
        """
        self._in_training = False
        comm = self.comm.current
        comm.agreement.tell(error)
        for placed in self._placed:
            close = getattr(placed.callback, "on_exception", None)
            if callable(close) and comm.is_among(placed.ranks):
                close_alone(comm, f"{type(placed.callback).__name__}.on_exception", close, error)

    @contextmanager
    def driven(self) -> Iterator[None]:
        """Let distfit's loops drive the list in a block, and call `on_exception` if it raises.

        In those a batch's first hooks are followed by a step in which the ranks agree, so that they need no agreement
        of their own. A loop of one's own may reduce its gradients there, and wait for a rank that failed.

        Ranks: every rank.
        """
        self._before_step = True
        self._read_again()
        try:
            yield
        except BaseException as error:
            self.on_exception(error)
            raise
        finally:
            self._before_step = self._in_training = False
            self._states = {}
            self._read_again()

    # Of the batch hooks these are called once, until the callbacks' hooks are read: see `_dispatches`.

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A training batch begins."""
        self._batch("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A training batch has ended."""
        self._batch("on_train_batch_end", batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A batch of an evaluation begins."""
        self._batch("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A batch of an evaluation has ended."""
        self._batch("on_test_batch_end", batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A batch of a prediction begins."""
        self._batch("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A batch of a prediction has ended."""
        self._batch("on_predict_batch_end", batch, logs)

    # Keras's older names.
    on_batch_begin = on_train_batch_begin
    on_batch_end = on_train_batch_end


def _nothing(batch: int, logs: Logs | None = None) -> None:
    """Stand in for a batch hook that no callback has."""


def _set(callback: Any, name: str, value: Any) -> None:
    """Give a callback its model or parameters, if it wants to know; to what is none of distfit's, as Keras does.

    Of a ``batch_size`` tqdm's callback concludes that it is told of rows, as by the first Keras.
    """
    if name == "set_params" and not isinstance(callback, Callback):
        value = {key: one for key, one in value.items() if key != "batch_size"}
    method = getattr(callback, name, None)
    if method is not None:
        method(value)
