"""The user's own line from which something was called."""

import contextlib
import functools
import os
import sys
from pathlib import Path
from types import FrameType

# A block made by contextlib is entered from there, and an attribute of functools computed there: neither is where it is
# written.
_NOT_THE_USERS = (f"{Path(__file__).parents[1]}{os.sep}", contextlib.__file__, functools.__file__)


def call_site() -> str:
    """Return ``file:line`` of the innermost frame outside distfit."""
    frame = sys._getframe(1)
    while frame.f_back is not None and not is_users(frame):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def is_users(frame: FrameType) -> bool:
    """Say whether a frame is the user's own: none of distfit's."""
    return not frame.f_code.co_filename.startswith(_NOT_THE_USERS)
