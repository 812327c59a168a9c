"""What a rank leaves for whoever supervises the job: that it works with others, and with what error it ended.

A launcher's exit status says neither. The records are small files that the supervisor names, and reads when all is
over; without a supervisor there are none.
"""

import atexit
import json
import os
import time
from collections.abc import Callable, Sized
from pathlib import Path

from distfit.comm import failure
from distfit.errors import RankLeft, RemoteError
from distfit.utils.activity import now

RECORD = "DISTFIT_RECORD"
"""Names this rank's records, without their endings: ``.joined`` and ``.failed``."""

_process = os.getpid()


def keep(groups: Sized, uncaught: Callable[[], BaseException | None]) -> None:
    """Note that this rank works with others from now on, and see to it that its end is noted.

    Args:
        groups: those that it has to leave in order, at any time.
        uncaught: returns the error with which the program ends, or None.

    Ranks: local.
    """
    name = os.environ.get(RECORD)
    if not name:
        return
    Path(f"{name}.joined").touch()
    if (
        uncaught() is not None
    ):  # it meets the others only to tell them that it failed: what is registered now never runs
        _note_end(name, groups, uncaught)
    else:
        atexit.register(_note_end, name, groups, uncaught)


def _note_end(name: str, groups: Sized, uncaught: Callable[[], BaseException | None]) -> None:
    """Write the error down, or take the note back where all groups were closed and nothing is left to agree on."""
    if os.getpid() != _process:  # a forked child is no rank
        return
    error = uncaught()
    if error is not None:
        record = {
            "error": failure.report(error, 0, "").summary,
            "follows": isinstance(error, (RemoteError, RankLeft)),  # from another rank's
            "step": now.step,
            "when": time.time(),
        }
        Path(f"{name}.failed").write_text(json.dumps(record))
    elif not groups:
        Path(f"{name}.joined").unlink(missing_ok=True)
