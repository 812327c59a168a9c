"""How long ranks wait for each other before they say so, and before they end the job."""

import math
import os
from dataclasses import dataclass

EXIT_STALLED = 75
"""The status of a process that waited in vain for another rank: EX_TEMPFAIL, "try again later", of sysexits.h."""


def from_environment(name: str, default: float) -> float:
    """Return a number of seconds that a variable of the environment gives.

    Raises:
        ValueError: if it is none.
    """
    text = os.environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not value >= 0:
        raise ValueError(f"{name} is a number of seconds, 0 or more. Received: {text!r}")
    return value


@dataclass(slots=True)
class Patience:
    """Of this process.

    Attributes:
        warn_after: seconds until a rank that waits says for whom; 0 for never.
        timeout: seconds until it ends the job; 0 for never.
    """

    warn_after: float
    timeout: float


patience = Patience(
    from_environment("DISTFIT_WARN_AFTER", 60.0), from_environment("DISTFIT_TIMEOUT", 30 * 60.0)
)


def set_patience(*, warn_after: float | None = None, timeout: float | None = None) -> None:
    """Set how long this rank waits for others; see docs/failures.md.

    The variables ``DISTFIT_WARN_AFTER`` and ``DISTFIT_TIMEOUT`` of the environment do the same for all ranks of a job.

    Args:
        warn_after: seconds until a rank that waits says for whom; 0 for never. None leaves it as it is: a minute.
        timeout: seconds until it ends the job, with the status `EXIT_STALLED`; 0 for never. None leaves it as it is:
            half an hour.

    Raises:
        ValueError: for a negative number.

    Ranks: local; takes effect at once.

    Example:
        >>> from distfit import comm
        >>> comm.set_patience(warn_after=60, timeout=30 * 60)
    """
    for name, value in (("warn_after", warn_after), ("timeout", timeout)):
        if value is not None and not value >= 0:
            raise ValueError(f"{name} is a number of seconds, 0 or more. Received: {value!r}")
    patience.warn_after = patience.warn_after if warn_after is None else warn_after
    patience.timeout = patience.timeout if timeout is None else timeout
