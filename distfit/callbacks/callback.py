"""The base of all callbacks: fourteen hooks, and where they run."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, ClassVar, Literal

from distfit.comm import Communicator

Ranks = Literal["all", "root", "local_root"]
Logs = dict[str, Any]


class Callback:
    """Base class used to build callbacks, with Keras's hooks.

    Attributes:
        ranks: where the hooks run: ``"all"`` ranks, ``"root"`` alone (rank 0), or one rank of each machine
            (``"local_root"``). A callback that writes files or prints is best on root, and is written there as if there
            were one process: while its hook runs, `self.model` evaluates and predicts on that rank alone. What a
            callback decides (stops training, sets the learning rate or weights, adds keys to `logs`, raises) holds on
            every rank, wherever it ran.
        reads_agreed_logs: whether the ranks agree on the logs before the hooks of this callback, even where the one
            before it runs on all ranks, too: for what records values or decides by them.
        state_names: the attributes that say how far the callback has come; see `state_dict`.
        is_resumed: whether training goes on from a checkpoint that has a state of this callback. It is known in
            `on_train_begin`, behind which `load_state_dict` is called: what is there already, such as a file, is then
            to be kept.
        params: ``verbose``, ``epochs``, ``steps`` and ``batch_size`` of the call of `fit`, `evaluate` or `predict`.
        model: the model that is trained.

    What `logs` holds is aggregated over all ranks, and equal on each of them. What a callback adds to them, or changes
    in them, is root's value on all ranks, as soon as the ranks have agreed: behind each run of neighbours with equal
    `ranks`.

    Which hooks a callback has, by its class or by its own attributes, is read when training begins, behind `set_model`
    and `set_params`, and is the same on all ranks. One that does nothing then costs nothing.

    Example:
        >>> import numpy as np
        >>> from distfit import Sequential, callbacks, layers
        >>> class Announce(callbacks.Callback):
        ...     ranks = "root"
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         print(f"epoch {epoch} is done, on all ranks")
        >>> model = Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile(loss="mean_squared_error")
        >>> _ = model.fit(np.array([[1.0]]), np.array([[1.0]]), callbacks=[Announce()], verbose=0)
        epoch 0 is done, on all ranks

    Ranks: hooks run on the ranks that `ranks` names, at the same moment of the training on each of them.
    """

    ranks: Ranks = "all"
    reads_agreed_logs: ClassVar[bool] = False
    state_names: ClassVar[tuple[str, ...]] = ()
    is_resumed = False
    params: dict[str, Any] | None = None
    _model: Any = None
    _ranks_of_training: Communicator | None = None

    @property
    def model(self) -> Any:
        """The model that is trained."""
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        """Take the parameters of the call; before the first hook."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Take the model; before the first hook."""
        self._model = model

    def set_comm(self, comm: Communicator) -> None:
        """Take the ranks that train together; before the first hook."""
        self._ranks_of_training = comm

    def say(self, text: str) -> None:
        """Print on root alone, whichever ranks the hook runs on.

        Ranks: local; any may call it.
        """
        (self._ranks_of_training or Communicator.world()).print(text)

    def collect(self, comm: Communicator) -> None:
        """Bring to root what it has to know of the other ranks, before a checkpoint takes `state_dict` there.

        Called on all ranks, wherever the hooks of the callback run, so that it may call collectives:
        ``self.all_parts = comm.all_gather_object(self.own_part)``. Most callbacks have nothing to do here.

        Args:
            comm: the ranks that train together.

        Ranks: every rank; what the override sends.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return how far the callback has come: what a checkpoint has to hold for it to go on as if never stopped.

        Returns:
            Numbers, text, None, lists and dicts of these, and NumPy arrays, by name.

        Ranks: local.
        """
        return {name: deepcopy(getattr(self, name)) for name in self.state_names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Called behind `on_train_begin`; and, where training goes on within an epoch, behind that one's `on_epoch_begin`
        once more.

        Ranks: local, on all ranks on which the callback runs.
        """
        for name in self.state_names:
            if name in state:  # what an older checkpoint does not know is as at the start
                setattr(self, name, deepcopy(state[name]))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called at the start of `fit`. `logs` is empty."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called at the end of `fit`, not after an error. `logs` holds the last epoch's values."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before an epoch, numbered from 0. `logs` is empty."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after an epoch and its validation. `logs` holds the metrics, those of validation as ``val_...``."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a training batch, numbered within its epoch. `logs` is empty."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a training batch. `logs` holds the epoch's metrics so far, over all ranks."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of `on_train_batch_end`."""

    def on_interrupt(self, logs: Logs | None = None) -> None:
        """Called once in a training that is asked to end before it is done: now is the time to save.

        By SIGUSR1 or SIGTERM to any rank, or by a callback that sets `model.interrupted` besides `model.stop_training`.
        It comes directly behind the batch at which the ranks agreed on it; validation and the hooks of the epoch's and
        the training's end follow, if there is time. `logs` is empty.
        """

    def on_exception(self, error: BaseException) -> None:
        """Called when `fit`, `evaluate` or `predict` ends with an error, on the ranks of this callback: to close files.

        All ranks know of the error by now, and raise it when this returns. Nothing is agreed on any more: each rank is
        on its own, as in a solo block. What this raises is shown, and does not hide the error.
        """

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called at the start of `evaluate` or of a validation. `logs` is empty."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called at the end of `evaluate` or of a validation. `logs` holds its metrics."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of an evaluation or validation. `logs` is empty."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of an evaluation or validation. `logs` holds its metrics so far, over all ranks."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called at the start of `predict`. `logs` is empty."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called at the end of `predict`. `logs` is empty."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of a prediction. `logs` is empty."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of a prediction. `logs` holds ``outputs``: all rows of the global batch, in order."""
