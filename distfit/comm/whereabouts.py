"""Where the main thread is, as another thread sees it."""

import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

from distfit.comm.call_site import is_users


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where the main thread is.

    Attributes:
        site: ``file:line`` of the innermost frame outside distfit; empty if there is none, as at the end of a program.
        in_debugger: whether someone has stopped it there to look.
    """

    site: str
    in_debugger: bool


def whereabouts() -> Whereabouts:
    """Return where the main thread is.

    Ranks: local; any thread.
    """
    site, in_debugger = "", False
    for frame in _frames():
        in_debugger = in_debugger or frame.f_globals.get("__name__") == "bdb"
        if not site and is_users(frame):
            site = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return Whereabouts(site, in_debugger)


def stack() -> str:
    """Return the main thread's stack as text, the innermost call last.

    Ranks: local; any thread.
    """
    innermost = next(_frames(), None)
    return "".join(traceback.format_stack(innermost)) if innermost else ""


def _frames() -> Iterator[FrameType]:
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        yield frame
        frame = frame.f_back
