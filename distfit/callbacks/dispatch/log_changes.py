"""What hooks do to the logs, on its way to all ranks."""

from __future__ import annotations

from typing import Any

import numpy as np

from distfit.callbacks.callback import Logs
from distfit.callbacks.dispatch.logs import plain
from distfit.comm import FINGERPRINT, Communicator, all_equal, fingerprint, pack, unpack

_MOST_RIDING = 128
_NOTHING = pack(({}, [], {}, set()))


class LogChanges:
    """What some hooks, which run one after the other, add to the logs or change in them. Root's word holds.

    What hooks on all ranks wrote is equal on them, as a rule, and not sent; a fingerprint tells whether it was. What
    hooks on root wrote is sent. The first time that a key appears it takes a message more, from which all ranks learn
    of the key; from then on its value, if it is one number, rides in the small message.
    """

    def __init__(self) -> None:
        self._riding: tuple[str, ...] = ()
        self._before: Logs = {}
        self._common: Logs = {}
        self._lost: list[str] = []
        self._own: Logs = {}
        self._removed: set[str] = set()

    def begin(self) -> None:
        """Forget the last time's changes."""
        self._before, self._common, self._lost, self._own, self._removed = {}, {}, [], {}, set()

    def note_common(self, before: Logs, after: Logs) -> None:
        """Note what hooks on all ranks did. An object that is no value stays what it is on each rank."""
        self._before = before
        self._common = {key: value for key, value in changed(before, after).items() if _is_value(value)}
        self._lost = [key for key in before if key not in after]

    def seen_here(self, logs: Logs) -> Logs:
        """Return the logs with what hooks on this rank, and not on all, have done to them so far."""
        return {key: value for key, value in {**logs, **self._own}.items() if key not in self._removed}

    def note_own(self, before: Logs, after: Logs) -> None:
        """Note what a hook on this rank did that does not run on all."""
        self._own.update(changed(before, after))
        self._removed = {key for key in (*before, *self._own) if key not in after}

    @property
    def are_new(self) -> bool:
        """Whether there is something that cannot ride."""
        return bool(self._removed) or any(
            key not in self._riding or not isinstance(value, float) for key, value in self._own.items()
        )

    def offer(self, comm: Communicator) -> list[float]:
        """Return what this rank adds to the small message.

        Ranks: local.
        """
        values: list[float] = []
        for key in self._riding:
            value = self._own.get(key) if comm.is_root else None
            values += (1.0, value) if isinstance(value, float) else (0.0, 0.0)
        common = repr((self._common, self._lost)) if self._common or self._lost else ""
        return [*fingerprint(common), *values]

    def packed(self, comm: Communicator, hook: str) -> bytes:
        """Return root's changes as bytes, in case that they have to be sent.

        Raises:
            TypeError: if one of them cannot be, naming its key and the hook.

        Ranks: local.
        """
        if not comm.is_root:
            return b""
        if not (self._common or self._lost or self._own or self._removed):
            return _NOTHING  # which is sent where hooks of all ranks have changed something elsewhere alone
        for key, value in self._own.items():
            _check_sendable(key, value, hook)
        return pack((self._common, self._lost, self._own, self._removed))

    def are_sent(self, sums: list[float], *, root_has_new: bool) -> bool:
        """Say whether root's changes follow as bytes; equal on all ranks.

        Args:
            sums: over all ranks, of what they offered.
            root_has_new: `are_new` of root.
        """
        return root_has_new or not all_equal(sums[:FINGERPRINT])

    def take(self, sums: list[float], logs: Logs) -> None:
        """Write root's numbers that rode in the message.

        Ranks: local.
        """
        values = sums[FINGERPRINT:]
        for key, is_there, value in zip(self._riding, values[::2], values[1::2], strict=True):
            if is_there:
                logs[key] = value

    def take_packed(self, packed: bytes, logs: Logs) -> None:
        """Write root's changes in the place of this rank's, and let their keys ride from now on.

        Ranks: local, on all ranks alike.
        """
        common, lost, own, removed = unpack(packed)
        for key in (*self._common, *self._lost):
            if key in self._before:
                logs[key] = self._before[key]
            else:
                logs.pop(key, None)
        logs.update({**common, **own})
        for key in (*lost, *removed):
            logs.pop(key, None)
        numbers = [key for key, value in own.items() if isinstance(value, float)]
        self._riding = tuple(dict.fromkeys([*self._riding, *numbers]))[:_MOST_RIDING]


def changed(before: Logs, after: Logs) -> Logs:
    """Return the keys that are new, or have another value, with numbers as floats."""
    return {
        key: plain(value) for key, value in after.items() if key not in before or before[key] is not value
    }


def _check_sendable(key: str, value: Any, hook: str) -> None:
    try:
        pack(value)
    except TypeError as error:
        raise TypeError(
            f"logs[{key!r}], which a callback wrote on root in {hook}: {error}. Write numbers, text or arrays"
        ) from None


def _is_value(value: Any) -> bool:
    return value is None or isinstance(value, (float, str, list, tuple, np.ndarray))
