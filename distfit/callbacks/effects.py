"""What callbacks did to the training, and how it comes to hold on every rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from distfit.callbacks.callback import Logs
from distfit.comm import Communicator, Phase, key_of, pack, unpack

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
    """A model of distfit's. In a loop of one's own there may be another one, or none: then nothing of it is agreed."""

    shared_state: SharedState


_FLAGS = ("stop_training", "stop_evaluating", "stop_predicting")


@dataclass(slots=True)
class Before:
    """The training as it was before hooks ran.

    Attributes:
        version: of the weights.
        numbers: of the optimizer, such as the learning rate.
    """

    version: int
    numbers: dict[str, float]


def before(model: Any) -> Before:
    """Note what hooks may change.

    Ranks: local.
    """
    if not isinstance(model, Shared):
        return Before(0, {})
    return Before(model.shared_state.version, model.shared_state.numbers())


def settle(
    model: Any, comm: Communicator, was: Before, hook: str, logs: Logs, root_logs: Logs | None
) -> None:
    """Agree on what hooks did, and make it hold here.

    Stop flags hold if any rank set one. The optimizer's numbers, the weights, and keys of the logs are root's: what a
    callback did to them on other ranks alone is undone.

    Args:
        model: the model that is trained.
        comm: its ranks.
        was: what `before` returned.
        hook: which hooks have run.
        logs: gets root's new or changed keys.
        root_logs: on root, those keys, if there are any.

    Raises:
        RemoteError: if a hook raised on another rank.

    Ranks: every rank; one small message, and root's weights or logs if they changed.
    """
    now = before(model)
    numbers = now.numbers
    changed = 0
    if comm.is_root:
        changed |= _NUMBERS * (numbers != was.numbers)
        changed |= _LOGS * bool(root_logs)
    packed = pack(root_logs)  # before the agreement: what cannot be sent is an error of this rank, for all
    flags = [bool(getattr(model, flag, False)) for flag in _FLAGS]
    wrote = now.version != was.version
    of_root = list(numbers.values()) if comm.is_root else [0.0] * len(numbers)
    payload = np.array([*flags, wrote, *of_root], np.float64)
    agreed = comm.agreement.agree(
        Phase.HOOKS, payload, key=key_of(hook), name=hook, changed=changed, stop=flags[0]
    )
    for flag, count in zip(_FLAGS, agreed.sums, strict=False):
        if count and model is not None:
            setattr(model, flag, True)
    if agreed.stop and model is not None:
        model.stop_training = True
    ranks_that_wrote, *root_numbers = agreed.sums[len(_FLAGS) :].tolist()
    # What follows was announced to all ranks, and none of it can fail on one of them alone.
    if ranks_that_wrote:
        model.shared_state.broadcast(comm)
    if agreed.changed & _LOGS:
        logs.update(unpack(comm.transport.broadcast_bytes(packed)))
    if agreed.changed & _NUMBERS or numbers != was.numbers:
        model.shared_state.set_numbers(dict(zip(numbers, root_numbers, strict=True)))
