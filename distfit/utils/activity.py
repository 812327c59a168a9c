"""What this process does now, as plain stores to memory: what a watchdog reads where ranks wait too long.

The main thread writes, and nothing here is ever read on its way: no lock, no clock, no text is made. A step of training
stores some ten references, well under a microsecond each.
"""

from types import TracebackType
from typing import Any


class Activity:
    """What the main thread does.

    Attributes:
        doing: in words, inside of what it is: a hook, a read, a write; empty for anything else.
        waits_for: the group of ranks in whose collective it is; None outside of one.
        about: of the last agreement, or the one under way: its phase, key and name; None before the first.
        step: the step of the training.
        finished: how many pieces of work it has finished: reads, hooks, writes, collectives.
    """

    __slots__ = ("about", "doing", "finished", "step", "waits_for")

    def __init__(self) -> None:
        self.doing = ""
        self.waits_for: object = None
        self.about: tuple[Any, int, str] | None = None
        self.step = 0
        self.finished = 0


now = Activity()
"""Of this process."""


class doing:  # noqa: N801 - it reads as a word of the sentence: `with doing("reads a batch"):`
    """Say what is done in a block, which may stand inside another one.

    Args:
        what: of this rank, as in "rank 1 *reads a batch*".

    Ranks: local; the main thread.

    Example:
        >>> from distfit.utils.activity import doing, now
        >>> with doing("reads a batch"):
        ...     print(now.doing)
        reads a batch
    """

    __slots__ = ("_outer", "_what")

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        self._outer, now.doing = now.doing, self._what

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        now.doing = self._outer
        now.finished += 1
