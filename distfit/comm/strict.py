"""Strict mode: a collective call matches only the one that stands in the same line of the program.

Two ranks that both sum three float64 numbers agree, though one means its losses and the other its gradients. With
``DISTFIT_STRICT=1`` in the environment of all ranks the line is compared, too. A program that is right may call the
same collective from two lines, so that this is a tool for finding a mistake, and not the rule. It costs a walk up the
stack for each collective, and no message.
"""

import os

from distfit.comm.call_site import call_site
from distfit.comm.phase import key_of


def key_of_call(called: str) -> int:
    """Return the number by which ranks know that they make the same collective call.

    Args:
        called: the call with what has to be equal in it, such as ``"broadcast(float32[10], root=0)"``.

    Ranks: local.
    """
    return key_of(f"{called} at {call_site()}" if _is_strict() else called)


def _is_strict() -> bool:
    return os.environ.get("DISTFIT_STRICT", "0") not in ("", "0")
