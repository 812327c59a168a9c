"""One fault, at one place of a program, on some of its ranks."""

import errno
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

ONCE = ("constructor", "between fits", "after fit", "at exit")
"""Places that a program passes once; a fault elsewhere strikes at the second time, in the midst of the work."""

EXIT_CODE = 3
INTERRUPTED = 85


class Mute(ValueError):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Particular(ValueError):
    """An error that can be neither copied nor made anew from its text."""

    def __init__(self, text: str, *, lock: Any) -> None:
        super().__init__(text)
        self.lock = lock


class Fault:
    """What goes wrong.

    Args:
        kind: one of `ACTIONS`, or a word that the program itself asks for.
        place: where.
        ranks: on which ranks, separated by commas.
        rank: this one.
    """

    def __init__(self, kind: str, place: str, ranks: str, rank: int) -> None:
        self.kind = kind
        self.place = place
        self.here = rank in map(int, ranks.split(","))
        self.model: Any = None
        self._visits = 0

    def at(self, place: str) -> None:
        """Strike, if this is the place, and the time."""
        if place != self.place:
            return
        self._visits += 1
        if self._visits != (1 if place in ONCE else 2):
            return
        if self.here:
            self.stamp()
            ACTIONS[self.kind](self.model)
        elif self.kind == "SIGINT in a reduction":
            time.sleep(1.0)  # those that fail wait for this one meanwhile

    def is_(self, kind: str, place: str) -> bool:
        """Say whether this is the fault, and this its place: where the program itself does what is wrong."""
        strikes = (kind, place) == (self.kind, self.place) and self.here
        if strikes:
            self.stamp()
        return strikes

    def stamp(self) -> None:
        """Leave word of the moment."""
        Path(os.environ["FAULT_STAMP"]).touch()


def rank_of_environment() -> int:
    """Return this process's rank before anything has started MPI."""
    names = ("PMI_RANK", "OMPI_COMM_WORLD_RANK")
    return next(int(os.environ[name]) for name in names if name in os.environ)


def _raise(error: Callable[[], BaseException]) -> Callable[[Any], NoReturn]:
    def strike(model: Any) -> NoReturn:
        raise error()

    return strike


def _limit_files(model: Any) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))


def _signal(number: int) -> Callable[[Any], None]:
    return lambda model: os.kill(os.getpid(), number)


def _interrupt_soon(model: Any) -> None:
    threading.Timer(0.5, _signal(signal.SIGINT), [model]).start()


def _loop(model: Any) -> NoReturn:
    while True:
        time.sleep(0.01)


def _fit(model: Any) -> None:
    model.fit([[0.0, 1.0]] * 8, [[1.0]] * 8, verbose=0)


def _evaluate(model: Any) -> None:
    model.evaluate([[0.0, 1.0]] * 8, [[1.0]] * 8, verbose=0)


def _barrier(model: Any) -> None:
    model.comm.barrier()


ACTIONS: dict[str, Callable[[Any], None]] = {
    "error": _raise(lambda: ValueError("the fault")),
    "error without text": _raise(Mute),
    "error that cannot be copied": _raise(lambda: Particular("the fault", lock=threading.Lock())),
    "KeyboardInterrupt": _raise(KeyboardInterrupt),
    "sys.exit": lambda model: sys.exit(EXIT_CODE),
    "os._exit": lambda model: os._exit(EXIT_CODE),
    "SIGKILL": _signal(signal.SIGKILL),
    "SIGTERM": _signal(signal.SIGTERM),
    "SIGINT": _signal(signal.SIGINT),
    "SIGINT in a reduction": _interrupt_soon,
    "SIGUSR1": _signal(signal.SIGUSR1),
    "SIGSTOP": _signal(signal.SIGSTOP),
    "endless loop": _loop,
    "barrier": _barrier,
    "disk full": _raise(lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))),
    "quota": _limit_files,
    "fit": _fit,
    "evaluate": _evaluate,
}
