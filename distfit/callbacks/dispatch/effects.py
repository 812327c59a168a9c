"""What callbacks did to the training, and how it comes to hold on every rank."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from distfit.callbacks.callback import Logs
from distfit.callbacks.dispatch.log_changes import LogChanges
from distfit.callbacks.dispatch.root_numbers import HasNumbers, RootNumbers
from distfit.comm import Communicator, Phase, key_of, signals

_FLAGS = ("stop_training", "stop_evaluating", "stop_predicting", "interrupted")
_HEAD = len(_FLAGS) + 1  # and whether a rank wrote weights


class SharedState(HasNumbers, Protocol):
    """What a model's ranks hold equal copies of; see `distfit.training.shared_state`."""

    root_numbers: RootNumbers

    @property
    def version(self) -> int:
        """A number that grows whenever a user writes a weight."""

    def broadcast(self, comm: Communicator) -> None:
        """Continue from root's copy."""


@runtime_checkable
class Shared(Protocol):
    """A model of distfit's."""

    comm: Communicator
    shared_state: SharedState


class Nothing:
    """The shared state of what is no model of distfit's: in a loop of one's own nothing of it is agreed."""

    version = 0

    def __init__(self) -> None:
        self.root_numbers = RootNumbers(self)

    def numbers(self) -> dict[str, float]:
        """There are none."""
        return {}

    def set_numbers(self, numbers: dict[str, float]) -> None:
        """There are none."""

    def broadcast(self, comm: Communicator) -> None:
        """There is nothing to send."""


class Effects:
    """What hooks change of a model.

    Args:
        model: what is trained: a model of distfit's, another one, or None.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._shared: SharedState = model.shared_state if isinstance(model, Shared) else Nothing()
        self._version = 0
        self._common: dict[str, float] = {}

    def note(self) -> None:
        """Note what hooks may change, before they run.

        Ranks: local.
        """
        self._version = self._shared.version

    def note_common(self) -> None:
        """Note the numbers that should be equal on all ranks: behind hooks that ran on all, and before others.

        Ranks: local.
        """
        self._common = self._shared.numbers()

    def settle(self, comm: Communicator, hook: str, logs: Logs, changes: LogChanges) -> None:
        """Agree on what hooks did, and make it hold here.

        Stop flags hold if any rank set one. The optimizer's numbers, the weights, and changes of the logs are root's:
        what a callback did to them on other ranks alone is undone.

        Args:
            comm: the ranks.
            hook: which hooks have run.
            logs: gets root's changes.
            changes: what the hooks did to the logs here.

        Raises:
            RemoteError: if a hook raised on another rank.
            TypeError: on all ranks, if root's changes of the logs cannot be sent.

        Ranks: every rank; one small message, and root's weights or logs if they changed.
        """
        shared, numbers = self._shared, self._shared.root_numbers
        flags = [float(getattr(self._model, flag, False)) for flag in _FLAGS]
        wrote = float(shared.version != self._version)
        of_numbers, of_logs = numbers.offer(comm, self._common), changes.offer(comm)
        packed = changes.packed(
            comm
        )  # now: what cannot be sent is an error like any other before an agreement
        agreed = comm.agreement.agree(
            Phase.HOOKS,
            np.array([*flags, wrote, *of_numbers, *of_logs]),
            key=key_of(hook),
            name=hook,
            changed=changes.are_new,
        )
        sums = agreed.sums.tolist()
        of_numbers, of_logs = sums[_HEAD:][: len(of_numbers)], sums[_HEAD + len(of_numbers) :]
        # What follows was announced to all ranks, and none of it can fail on one of them alone.
        if sums[_HEAD - 1]:
            shared.broadcast(comm)
        if changes.are_sent(of_logs, root_has_new=bool(agreed.changed)):
            changes.take_packed(comm.transport.broadcast_bytes(packed), logs)
        else:
            changes.take(of_logs, logs)
        numbers.take(of_numbers)
        for flag, raised in zip(_FLAGS, sums, strict=False):
            self._raise_flag(flag, bool(raised))
        if agreed.interrupted:
            self._raise_flag("stop_training", True)
            self._raise_flag("interrupted", True)
            signals.heed_stop()
        numbers.warn(comm, hook)

    def _raise_flag(self, flag: str, raised: bool) -> None:
        if raised and self._model is not None:
            setattr(self._model, flag, True)
