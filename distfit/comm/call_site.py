"""The user's own line from which something was called."""

import contextlib
import os
import sys
from pathlib import Path

# A block made by contextlib is entered from there, not from where it is written.
_NOT_THE_USERS = (f"{Path(__file__).parents[1]}{os.sep}", contextlib.__file__)


def call_site() -> str:
    """Return ``file:line`` of the innermost frame outside distfit."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
