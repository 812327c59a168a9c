"""What callbacks did to the training, and how it comes to hold on every rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from distfit.callbacks.callback import Logs
from distfit.comm import Communicator, Phase, key_of

_WEIGHTS, _NUMBERS, _LOGS = 1, 2, 4
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
    return Before(model.weights_version, model.optimizer_numbers())


def settle(
    model: Any, comm: Communicator, was: Before, hook: str, logs: Logs, root_logs: Logs | None
) -> None:
    """Agree on what hooks did, and make it hold here.

    Stop flags hold if any rank set one. The optimizer's numbers, the weights, and keys of the logs are root's.

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
    numbers = model.optimizer_numbers()
    changed = 0
    if comm.is_root:
        changed |= _WEIGHTS * (model.weights_version != was.version)
        changed |= _NUMBERS * (numbers != was.numbers)
        changed |= _LOGS * bool(root_logs)
    payload = np.zeros(len(_FLAGS) + len(numbers))
    payload[: len(_FLAGS)] = [getattr(model, flag) for flag in _FLAGS]
    if comm.is_root:
        payload[len(_FLAGS) :] = list(numbers.values())
    agreed = comm.agreement.agree(
        Phase.HOOKS, payload, key=key_of(hook), name=hook, changed=changed, stop=model.stop_training
    )
    for flag, count in zip(_FLAGS, agreed.sums, strict=False):
        if count:
            setattr(model, flag, True)
    if agreed.stop:
        model.stop_training = True
    new_numbers = dict(zip(numbers, agreed.sums[len(_FLAGS) :].tolist(), strict=True))
    # What follows was announced to all ranks, and none of it can fail on one of them alone.
    if agreed.changed & _WEIGHTS:
        model.broadcast_weights(comm)
    if agreed.changed & _LOGS:
        logs.update(comm.transport.broadcast_object(root_logs))
    if agreed.changed & _NUMBERS or numbers != was.numbers:
        model.set_optimizer_numbers(new_numbers)
