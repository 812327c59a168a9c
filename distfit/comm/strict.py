"""Strict mode: what ranks do together matches only what stands in the same line of the program.

Two ranks that both sum three float64 numbers agree, though one means its losses and the other its gradients; and two
that both evaluate, though one is before its training and the other behind. With ``DISTFIT_STRICT=1`` in the environment
of all ranks the line of the user's program is compared, too. A program that is right may do the same from two lines, so
that this is a tool for finding a mistake, and not the rule. It costs a walk up the stack for each small message, and no
message.
"""

import os

from distfit.comm.call_site import call_site
from distfit.comm.phase import Phase, key_of

# A layer's sums belong to a step, which is compared; and a rank that leaves is behind its last line.
_WITHOUT_LINE = (Phase.FORWARD_SUMS, Phase.BACKWARD_SUMS, Phase.LEAVING)


def is_wanted() -> bool:
    """Say whether the user asked for it."""
    return os.environ.get("DISTFIT_STRICT", "0") not in ("", "0")


def key_here(at: Phase | None, key: int) -> int:
    """Return the number by which ranks know that they do the same, in the same line.

    Args:
        at: what a rank wants to agree on; None on one without rows.
        key: which layer, operation or hook.

    Ranks: local.
    """
    return key if at in _WITHOUT_LINE else key_of(f"{key} at {call_site()}")
