"""The traceback with which a rank ends, written at once.

Python writes one in many small pieces. Where several ranks end with the same error, as they do here, and write to one
terminal, their pieces come mixed, and nobody can read any of them.
"""

import os
import sys
import traceback
from types import TracebackType


def install() -> None:
    """Write the traceback of an uncaught error in one piece, unless the user has a way of his own to show it.

    Ranks: local.
    """
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _show


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    sys.stderr.flush()
    try:
        os.write(sys.stderr.fileno(), text.encode(sys.stderr.encoding or "utf-8", "backslashreplace"))
    except (OSError, ValueError):  # it has no descriptor, as where a notebook shows it
        sys.stderr.write(text)
