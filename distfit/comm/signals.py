"""Signals as flags that the next agreement turns into what all ranks do.

A KeyboardInterrupt raised where the signal arrives could strike one rank inside a reduction that the others believe to
have succeeded. So from the first line of an operation to its last the handlers only take note: of SIGINT, and of the
two by which a launcher or a batch system asks a program to save and stop, SIGUSR1 and SIGTERM.

Python runs its handlers between two instructions of the main thread, and so not while that waits in MPI. A SIGTERM must
end a job that hangs there all the same. What Python does at once is to write the signal's number to a pipe, which the
watchdog's thread reads.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_interrupted = False
_stop: int | None = None  # the signal that asked to stop, until a training has heeded it
_depth = 0


_pipe: tuple[int, int] | None = None
_end_is_due = False


def take_interrupt() -> bool:
    """Return True once after a SIGINT."""
    global _interrupted
    taken, _interrupted = _interrupted, False
    return taken


def stop_requested() -> bool:
    """Return True after a SIGUSR1 or SIGTERM, until `heed_stop`."""
    return _stop is not None


def heed_stop() -> None:
    """Note that a training ends because of the request, which is over with that.

    A request that comes in an evaluation waits for the next training; but SIGTERM, which asks the program to end, is
    delivered once more when the operation is over.
    """
    global _stop, _end_is_due
    _stop, _end_is_due = None, False


def end_is_due() -> bool:
    """Say whether a SIGTERM came that nobody has heeded; for the watchdog's thread, whatever the main thread does."""
    global _end_is_due
    if _pipe is not None:
        with suppress(BlockingIOError):
            _end_is_due |= signal.SIGTERM in os.read(_pipe[0], 4096)
    return _end_is_due


def _on_interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    global _interrupted
    if _interrupted:  # the second one: whoever sends it does not want to wait for an agreement
        _end_by(signal.SIGINT)
    _interrupted = True


def _on_stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    global _stop
    if number == signal.SIGTERM and _stop == number:  # likewise
        _end_by(signal.SIGTERM)
    _stop = number


def _end_by(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _writing_end() -> int:
    global _pipe
    if _pipe is None:
        _pipe = os.pipe()
        for end in _pipe:
            os.set_blocking(end, False)
    return _pipe[1]


_HANDLERS = {signal.SIGINT: _on_interrupt, signal.SIGUSR1: _on_stop, signal.SIGTERM: _on_stop}


@contextmanager
def deferred() -> Iterator[None]:
    """Keep these signals as flags in this block; only the outermost block, and the main thread, does so."""
    global _depth
    if _depth or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in _HANDLERS.items()}
    pipe_before = signal.set_wakeup_fd(_writing_end(), warn_on_full_buffer=False)
    _depth = 1
    try:
        yield
    finally:
        _depth = 0
        signal.set_wakeup_fd(pipe_before)
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        if _stop == signal.SIGTERM:
            heed_stop()
            signal.raise_signal(signal.SIGTERM)
        if take_interrupt():  # it came after the last agreement: the user's own code is free to act on it
            signal.raise_signal(signal.SIGINT)
