"""What callbacks did to the training, and how it comes to hold on every rank."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from distfit.callbacks.callback import Logs
from distfit.comm import Communicator, Phase, key_of, pack, signals, unpack

_NUMBERS, _LOGS = 1, 2


class SharedState(Protocol):
    """What a model's ranks hold equal copies of; see `distfit.training.shared_state`."""

    @property
    def version(self) -> int:
        """A number that grows whenever a user writes a weight."""

    def numbers(self) -> dict[str, float]:
        """Return the optimizer's numbers that callbacks may change."""

    def set_numbers(self, numbers: dict[str, float]) -> None:
        """Set what `numbers` returned."""

    def broadcast(self, comm: Communicator) -> None:
        """Continue from root's copy."""


@runtime_checkable
class Shared(Protocol):
    """A model of distfit's."""

    shared_state: SharedState


class Nothing:
    """The shared state of what is no model of distfit's: in a loop of one's own nothing of it is agreed."""

    version = 0

    def numbers(self) -> dict[str, float]:
        """There are none."""
        return {}

    def set_numbers(self, numbers: dict[str, float]) -> None:
        """There are none."""

    def broadcast(self, comm: Communicator) -> None:
        """There is nothing to send."""


_FLAGS = ("stop_training", "stop_evaluating", "stop_predicting")


class Effects:
    """What hooks change of a model.

    Args:
        model: what is trained: a model of distfit's, another one, or None.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._shared: SharedState = model.shared_state if isinstance(model, Shared) else Nothing()
        self.note()

    def note(self) -> None:
        """Note what hooks may change, before they run.

        Ranks: local.
        """
        self._version, self._numbers = self._shared.version, self._shared.numbers()

    def settle(self, comm: Communicator, hook: str, logs: Logs, root_logs: Logs) -> None:
        """Agree on what hooks did, and make it hold here.

        Stop flags hold if any rank set one. The optimizer's numbers, the weights, and keys of the logs are root's: what
        a callback did to them on other ranks alone is undone.

        Args:
            comm: the ranks.
            hook: which hooks have run.
            logs: gets root's new or changed keys.
            root_logs: on root, those keys, if there are any.

        Raises:
            RemoteError: if a hook raised on another rank.
            TypeError: on all ranks, if root's keys have values that cannot be sent.

        Ranks: every rank; one small message, and root's weights or logs if they changed.
        """
        numbers = self._shared.numbers()
        changed = _NUMBERS * (numbers != self._numbers) | _LOGS * bool(root_logs)
        packed = pack(
            root_logs
        )  # before the agreement: what cannot be sent is an error of this rank, for all
        flags = [bool(getattr(self._model, flag, False)) for flag in _FLAGS]
        flags[0] |= signals.stop_requested()
        wrote = self._shared.version != self._version
        of_root = comm.of_root(np.array(list(numbers.values())))
        payload = np.array([*flags, wrote, *of_root], np.float64)
        agreed = comm.agreement.agree(Phase.HOOKS, payload, key=key_of(hook), name=hook, changed=changed)
        stop_training, stop_evaluating, stop_predicting, ranks_that_wrote, *root_numbers = (
            agreed.sums.tolist()
        )
        self._raise_flags(stop_training, stop_evaluating, stop_predicting)
        # What follows was announced to all ranks, and none of it can fail on one of them alone.
        if ranks_that_wrote:
            self._shared.broadcast(comm)
        if agreed.changed & _LOGS:
            logs.update(unpack(comm.transport.broadcast_bytes(packed)))
        if agreed.changed & _NUMBERS or numbers != self._numbers:
            self._shared.set_numbers(dict(zip(numbers, root_numbers, strict=True)))

    def _raise_flags(self, *raised: float) -> None:
        for flag, value in zip(_FLAGS, raised, strict=True):
            if value and self._model is not None:
                setattr(self._model, flag, True)
