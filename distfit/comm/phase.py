"""Where in the program a rank is when it joins an agreement."""

import functools
import zlib
from enum import IntEnum


class Phase(IntEnum):
    """What a rank wants to agree on. Ranks that differ in it would have waited for each other for ever.

    The numbers travel as float64 sums of themselves and of their squares, which is exact: equal on all of `n` ranks if
    and only if ``n * sum(p * p) == sum(p) ** 2`` (the equality case of Cauchy and Schwarz).
    """

    LEAVING = 1
    BEGIN = 2
    END = 3
    STEP = 4
    FORWARD_SUMS = 5
    BACKWARD_SUMS = 6
    HOOKS = 7
    LOGS = 8
    COLLECTIVE = 9
    POINT = 10
    FAILED = 11  # never sent: a rank that failed joins others, whatever they are about
    BACKWARD = 12


_TEXTS = {
    Phase.LEAVING: "leaves the program{name}",
    Phase.BEGIN: "begins {name}",
    Phase.END: "ends {name}",
    Phase.STEP: "ends a step of {name}",
    Phase.FORWARD_SUMS: "sums over the batch in the forward pass of layer {key}",
    Phase.BACKWARD_SUMS: "sums over the batch in the backward pass of layer {key}",
    Phase.HOOKS: "has run {name}",
    Phase.LOGS: "brings the logs of {name}",
    Phase.COLLECTIVE: "calls {name}",
    Phase.POINT: "is at {name}",
    Phase.FAILED: "tells of an error",
    Phase.BACKWARD: "begins the backward pass of a step of {name}",
}


def describe(phase: Phase | None, key: int, name: str) -> str:
    """Say in words what a rank does that is in this phase; None for one without rows."""
    return f"has no rows of a step of {name}" if phase is None else _TEXTS[phase].format(key=key, name=name)


@functools.lru_cache(maxsize=256)
def key_of(name: str) -> int:
    """Return a number for a name, small enough that sums of its square over thousands of ranks are exact."""
    return zlib.crc32(name.encode()) & 0xFFFFF
