"""What callbacks did to the training, and how it comes to hold on every rank."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from distfit.callbacks.callback import Logs
from distfit.callbacks.dispatch.decisions import Decisions, Numbers, Optimized, Settings
from distfit.callbacks.dispatch.log_changes import LogChanges
from distfit.comm import Communicator, Phase, key_of, signals


class SharedState(Optimized, Protocol):
    """What a model's ranks hold equal copies of; see `distfit.training.shared_state`."""

    decisions: Decisions

    @property
    def version(self) -> object:
        """Equal as long as no user writes what is shared."""

    def broadcast(self, comm: Communicator) -> None:
        """Continue from root's copy."""


@runtime_checkable
class Shared(Protocol):
    """A model of distfit's."""

    comm: Communicator
    shared_state: SharedState


class OnlyFlags:
    """The shared state of what is no model of distfit's: of its weights and its optimizer nothing is known.

    Args:
        model: what is trained, or None.
    """

    version: object = None

    def __init__(self, model: Any) -> None:
        self.decisions = Decisions(model, self)

    def numbers(self) -> Numbers:
        """There are none."""
        return {}

    def set_numbers(self, numbers: Numbers) -> None:
        """There are none."""

    def settings(self) -> Settings:
        """There are none."""
        return {}

    def set_settings(self, settings: Settings) -> None:
        """There are none."""

    def broadcast(self, comm: Communicator) -> None:
        """There is nothing to send."""


class Effects:
    """What hooks change of a model.

    Args:
        model: what is trained: a model of distfit's, another one, or None.
    """

    def __init__(self, model: Any) -> None:
        self._shared: SharedState = model.shared_state if isinstance(model, Shared) else OnlyFlags(model)
        self._version: object = None
        self._common = self._shared.decisions.present()

    def note(self) -> None:
        """Note what hooks may change, before they run.

        Ranks: local.
        """
        self._version = self._shared.version

    def note_common(self) -> None:
        """Note what should be equal on all ranks: behind hooks that ran on all, and before others.

        Ranks: local.
        """
        self._common = self._shared.decisions.present()

    def settle(self, comm: Communicator, hook: str, logs: Logs, changes: LogChanges) -> None:
        """Agree on what hooks did, and make it hold here.

        Flags and the optimizer's numbers hold as `Decisions` says. Weights, and changes of the logs, are root's: what a
        callback did to them on other ranks alone is undone.

        Args:
            comm: the ranks.
            hook: which hooks have run.
            logs: gets root's changes.
            changes: what the hooks did to the logs here.

        Raises:
            RemoteError: if a hook raised on another rank.
            TypeError: on all ranks, if root's changes cannot be sent.

        Ranks: every rank; one small message, and root's weights, settings or logs if they changed.
        """
        shared, decisions = self._shared, self._shared.decisions
        wrote = float(shared.version != self._version)
        packed = changes.packed(comm, hook)  # now: what cannot be sent is an error like any other
        agreed = comm.agreement.agree(
            Phase.HOOKS,
            np.array([wrote, *changes.offer(comm)]),
            key=key_of(hook),
            name=hook,
            word=changes.are_new,
            riders=decisions.offer(comm, self._common),
        )
        (ranks_that_wrote, *of_logs), riders = agreed.sums.tolist(), agreed.riders.tolist()
        # These transfers were announced to all ranks, and none of them can fail on one alone.
        if ranks_that_wrote:
            shared.broadcast(comm)
        are_sent = changes.are_sent(of_logs, root_has_new=bool(agreed.word))
        received = comm.transport.broadcast_bytes(packed) if are_sent else b""
        # From here on code may fail on one rank, which the next agreement tells.
        decisions.settle(comm, riders, f"behind {hook}")
        if are_sent:
            changes.take_packed(received, logs)
        else:
            changes.take(of_logs, logs)
        if agreed.interrupted:
            decisions.raise_flags("stop_training", "interrupted")
            signals.heed_stop()
