"""Whether the job was started again."""

import os
from collections.abc import Mapping

_COUNTS = ("DISTFIT_RESTART", "SLURM_RESTART_COUNT")


def restarts(environment: Mapping[str, str] = os.environ) -> int:
    """Return how often the job was started again: by ``python -m distfit run``, or by Slurm's requeuing.

    Example:
        >>> restarts({"SLURM_RESTART_COUNT": "2"}), restarts({})
        (2, 0)

    Ranks: local.
    """
    counts = [environment.get(name, "") for name in _COUNTS]
    return max((int(count) for count in counts if count.isdigit()), default=0)
