"""The user's own line from which something was called."""

import sys
from pathlib import Path

_PACKAGE = str(Path(__file__).parents[1])


def call_site() -> str:
    """Return ``file:line`` of the innermost frame outside distfit."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
