"""Whether a job that ended is started again, and when."""

from collections.abc import Sequence
from enum import Enum

from distfit.launchers.ending import Ending

_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 8.0


class Verdict(Enum):
    """What follows from how the attempts at a job ended, with the reason."""

    OVER = "it ended by itself"
    ASKED = "a signal asked it to end"
    REPEATED = "it failed twice at the same step with the same error"
    SPENT = "it was started as often as --max-restarts allows"
    AGAIN = "it failed"


def verdict(endings: Sequence[Ending], max_restarts: int) -> Verdict:
    """Return what follows from the attempts so far.

    Args:
        endings: of them, at least one.
        max_restarts: how often the job may be started again.

    Ranks: local.

    Example:
        >>> from distfit.launchers.ending import Cause
        >>> killed = Ending(12.0, 9, Cause("rank 1 was killed by signal 9, SIGKILL"))
        >>> verdict([killed, killed], max_restarts=2).name, verdict([killed, killed], max_restarts=1).name
        ('AGAIN', 'SPENT')
    """
    *before, last = endings
    if last.cause is None:
        return Verdict.OVER
    if last.asked_by is not None:
        return Verdict.ASKED
    if any(one.cause is not None and one.cause.is_same(last.cause) for one in before):
        return Verdict.REPEATED
    return Verdict.AGAIN if len(endings) <= max_restarts else Verdict.SPENT


def wait_s(failures: int) -> float:
    """Return the seconds until the next attempt: twice as long after each failure, so that what is broken may recover.

    Ranks: local.

    Example:
        >>> [wait_s(failures) for failures in range(1, 8)]
        [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    """
    return min(_FIRST_WAIT_S * 2.0 ** (failures - 1), _LONGEST_WAIT_S)
