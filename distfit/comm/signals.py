"""Signals as flags that the next agreement turns into what all ranks do.

A KeyboardInterrupt raised where the signal arrives could strike one rank inside a reduction that the others believe to
have succeeded. So from the first line of an operation to its last the handlers only take note.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_interrupted = False
_stop_requested = False
_depth = 0


def take_interrupt() -> bool:
    """Return True once after a SIGINT."""
    global _interrupted
    taken, _interrupted = _interrupted, False
    return taken


def stop_requested() -> bool:
    """Return True after a SIGUSR1: the one signal by which both MPIs let a user say "stop in order"."""
    return _stop_requested


def _on_interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    global _interrupted
    if _interrupted:  # the second one: whoever sends it does not want to wait for an agreement
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    _interrupted = True


def _on_stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    global _stop_requested
    _stop_requested = True


@contextmanager
def deferred() -> Iterator[None]:
    """Keep SIGINT and SIGUSR1 as flags in this block; only the outermost block, and the main thread, does so."""
    global _depth, _stop_requested
    if _depth or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, _on_interrupt),
        signal.SIGUSR1: signal.signal(signal.SIGUSR1, _on_stop),
    }
    _depth = 1
    try:
        yield
    finally:
        _depth = 0
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        _stop_requested = False
        if take_interrupt():  # it came after the last agreement: the user's own code is free to act on it
            signal.raise_signal(signal.SIGINT)
