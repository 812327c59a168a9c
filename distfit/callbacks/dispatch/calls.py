"""How the hooks of one name are called: on which ranks, in which order, and where the ranks agree between them."""

from __future__ import annotations

import math
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from distfit.callbacks.callback import Logs
from distfit.callbacks.dispatch.aggregate import aggregate, aggregate_alone
from distfit.callbacks.dispatch.effects import Effects
from distfit.callbacks.dispatch.hooks import Hook
from distfit.callbacks.dispatch.log_changes import LogChanges, changed
from distfit.callbacks.dispatch.logs import AggregatedLogs
from distfit.comm import Communicator
from distfit.utils.activity import doing

_LONG_S = 5.0


class Dispatch(ABC):
    """The hooks of one name, in the callbacks' order."""

    @abstractmethod
    def phase(self, arguments: tuple[Any, ...], logs: Logs | None) -> None:
        """Call the hooks of an epoch or of a whole call with these arguments and the logs."""

    @abstractmethod
    def batch(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hooks of a batch."""


class Alone(Dispatch):
    """The hooks on a rank that has no others to agree with. They see the same logs, one after the other.

    Hooks for root alone are solo here, too, and what they write to the logs is made plain: what would be an error on
    several ranks is one on the first, and what is written to files is the same.
    """

    def __init__(self, hooks: list[Hook], comm: Communicator) -> None:
        self._calls = [hook.call if hook.ranks == "all" else partial(_apart, comm, hook) for hook in hooks]

    def phase(self, arguments: tuple[Any, ...], logs: Logs | None) -> None:
        logs = aggregate_alone(logs)
        for call in self._calls:
            call(*arguments, logs)

    def batch(self, batch: int, logs: Logs | None = None) -> None:
        # `aggregate_alone`, spelled out: its call would be a fifth of what is done here.
        if logs is None:
            logs = {}
        elif type(logs) is AggregatedLogs and not logs.changed:
            logs = logs.copy()
        else:
            logs = aggregate_alone(logs)
        for call in self._calls:
            call(batch, logs)


@dataclass(slots=True)
class Stretch:
    """Hooks between two agreements: some that all ranks run, then some that only a few do.

    Attributes:
        common: hooks of all ranks.
        own: hooks of root or of local roots.
        settles: whether the ranks agree behind it.
        changes: what the hooks do to the logs.
    """

    common: list[Hook] = field(default_factory=list)
    own: list[Hook] = field(default_factory=list)
    settles: bool = True
    changes: LogChanges = field(default_factory=LogChanges)

    def add(self, hook: Hook) -> None:
        """Add a hook behind the others."""
        (self.common if hook.ranks == "all" else self.own).append(hook)


class Together(Dispatch):
    """The hooks on several ranks, which agree behind each stretch.

    Why no rank waits in vain: the stretches follow from the callbacks, on which all ranks have agreed; so all know how
    many agreements follow. A hook that raises leaves through the guard, which joins the next of them.

    Args:
        name: of the hook.
        stretches: what is called.
        comm: the ranks.
        effects: how what the hooks did comes to hold.
    """

    def __init__(self, name: str, stretches: list[Stretch], comm: Communicator, effects: Effects) -> None:
        self._name = name
        self._stretches = stretches
        self._comm = comm
        self._effects = effects
        self._held: dict[str, float] = {}  # how long each hook of a few ranks took at most, in seconds

    def phase(self, arguments: tuple[Any, ...], logs: Logs | None) -> None:
        with self._comm.guard():
            logs = aggregate(logs, self._comm, self._name)
            for stretch in self._stretches:
                self._run(stretch, arguments, logs)

    def batch(self, batch: int, logs: Logs | None = None) -> None:
        self.phase((batch,), logs)

    def _run(self, stretch: Stretch, arguments: tuple[Any, ...], logs: Logs) -> None:
        changes = stretch.changes
        changes.begin()
        self._effects.note()
        if stretch.common:
            before = dict(logs)
            for hook in stretch.common:
                with doing(f"runs {hook.name}"):
                    hook.call(*arguments, logs)
            changes.note_common(before, logs)
        self._effects.note_common()
        for hook in stretch.own:
            if self._comm.is_among(hook.ranks):
                # What hooks on a few ranks write is not in the logs of all before the ranks have agreed.
                seen, began = changes.seen_here(logs), time.monotonic()
                _solo(self._comm, hook, *arguments, seen)
                changes.note_own(logs, seen)
                self._held[hook.name] = max(self._held.get(hook.name, 0.0), time.monotonic() - began)
        if stretch.settles:
            self._effects.settle(self._comm, self._name, logs, changes)
        self._tell_of_waiting()

    def _tell_of_waiting(self) -> None:
        """Name, once, a hook for which the other ranks waited long; now that they wait no more."""
        for name, seconds in self._held.items():
            if _LONG_S < seconds < math.inf and self._comm.is_root:
                self._held[name] = math.inf
                self._comm.announce(
                    f"{name} on root held the other {self._comm.size - 1} ranks for {seconds:.0f} s. What all ranks can"
                    " do together, such as evaluate, is faster in a callback with ranks = 'all'."
                )


def _apart(comm: Communicator, hook: Hook, *arguments: Any) -> None:
    """Call a hook that is not for all ranks, with logs that hooks behind it see at once."""
    logs = arguments[-1]
    before = dict(logs)
    _solo(comm, hook, *arguments)
    logs.update(changed(before, logs))


def _solo(comm: Communicator, hook: Hook, *arguments: Any) -> None:
    """Call a hook that not all ranks run: no collective in it can wait for the others."""
    with comm.solo(hook.name), doing(f"runs {hook.name}"):
        hook.call(*arguments)


def close_alone(
    comm: Communicator, name: str, close: Callable[[BaseException], None], error: BaseException
) -> None:
    """Call a hook after an error of which all ranks know: each on its own, since some may have ended already.

    Args:
        comm: the ranks.
        name: of the hook.
        close: the hook. What it raises is shown, and does not hide the error.
        error: what it is told.
    """
    with comm.solo(name):
        try:
            close(error)
        except Exception:
            sys.stderr.write(f"distfit: {name} failed after a {type(error).__name__}:\n")
            traceback.print_exc()


def dispatch_of(
    name: str, hooks: list[Hook], comm: Communicator, effects: Effects, *, before_step: bool
) -> Dispatch | None:
    """Return how the hooks of this name are called; None where there are none.

    Args:
        name: of the hook.
        hooks: those of all ranks, in the callbacks' order.
        comm: the ranks.
        effects: how what the hooks did comes to hold.
        before_step: whether hooks before a batch are followed by a step in which the ranks agree.
    """
    if not hooks:
        return None
    if comm.is_alone:
        return Alone(hooks, comm)
    stretches = (
        batch_stretches(hooks, settle_at_end=name.endswith("_end") or not before_step)
        if "_batch_" in name
        else runs(hooks)
    )
    return Together(name, stretches, comm, effects)


def runs(hooks: list[Hook]) -> list[Stretch]:
    """Divide the hooks of a phase: an agreement behind each run of neighbours with equal ranks.

    A run on all ranks ends, too, before a hook that records the logs, or decides by them, if one of the user's stands
    before it, which may have written another value on each.
    """
    stretches: list[Stretch] = []
    before: Hook | None = None
    for hook in hooks:
        needs_agreement = (
            hook.reads_agreed_logs and hook.ranks == "all" and before is not None and not before.is_own
        )
        if before is None or before.ranks != hook.ranks or needs_agreement:
            stretches.append(Stretch())
        stretches[-1].add(hook)
        before = hook
    return stretches


def batch_stretches(hooks: list[Hook], *, settle_at_end: bool) -> list[Stretch]:
    """Divide the hooks of a batch: one agreement behind all of them, as few as possible before.

    A hook on all ranks that stands behind one on a few has to see what that one did, or not to run if it raised: it
    waits for an agreement. Before a step of distfit's, hooks on all ranks need none behind them: whether to stop, and
    the learning rate, ride in the message of the step, and a rank that raised joins it.

    Args:
        hooks: in the callbacks' order.
        settle_at_end: whether the ranks agree behind hooks on all ranks that stand last.
    """
    stretches = [Stretch()]
    for hook in hooks:
        if hook.ranks == "all" and stretches[-1].own:
            stretches.append(Stretch())
        stretches[-1].add(hook)
    stretches[-1].settles = bool(stretches[-1].own) or settle_at_end
    return stretches
