"""A thread that reads the next rows while a step computes on these ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

_PAYS_S = (
    0.002  # to hand a read over and its result back takes some 80 us, which has to be little beside the read
)


class ReadAhead:
    """Reads one thing ahead, in a thread of its own.

    Where that does not pay, as for most of what is in memory, it need not be started, and there is no thread.
    An error in the thread is kept, and raised with its traceback where the result is asked for: not at all if nobody
    does.

    The thread reads, and does nothing else. It makes no MPI call and holds no lock between two reads, so that whoever
    waits for it waits for one read, as without it.

    Example:
        >>> from distfit.data.read_ahead import ReadAhead
        >>> with ReadAhead() as ahead:
        ...     ahead.start(lambda: "read ahead")
        ...     ahead.result(lambda: "read now"), ahead.result(lambda: "read now")
        ('read ahead', 'read now')

    Ranks: local; one thread calls it.
    """

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._read: Future[tuple[Any, float]] | None = None
        self._took_s = 0.0

    @property
    def pays(self) -> bool:
        """Whether the last read took long enough for the next one to be done in a thread."""
        return self._took_s >= _PAYS_S

    def start(self, read: Callable[[], Any]) -> None:
        """Begin to read what will be asked for next."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "distfit reader")
        self._read = self._thread.submit(_timed, read)

    def result(self, read: Callable[[], Any]) -> Any:
        """Return what was read ahead, or else read now.

        Args:
            read: the same that `start` was given, if it was called.

        Raises:
            Exception: whatever the read raised, in whichever thread.
        """
        ahead, self._read = self._read, None
        result, self._took_s = _timed(read) if ahead is None else ahead.result()
        return result

    def forget(self) -> None:
        """Drop what is read ahead, and its error: something else will be asked for."""
        self._read = None

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread, behind the read that is under way: its file may be closed next."""
        self.forget()
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
            self._thread = None


def _timed(read: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return read(), time.perf_counter() - start
