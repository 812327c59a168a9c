"""A thread that writes while the training goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable


class BackgroundWriter:
    """Writes one thing at a time, in a thread of its own, which makes no MPI call.

    A process that ends waits for what is under way; what fails is raised by whichever method is called next.

    Example:
        >>> from distfit.checkpoint import BackgroundWriter
        >>> written = []
        >>> writer = BackgroundWriter()
        >>> writer.start(lambda: written.append("weights"))
        >>> writer.finish()
        >>> written, writer.busy
        (['weights'], False)

    Ranks: local; one rank, one thread calls it.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, write: Callable[[], object]) -> None:
        """Begin to write.

        Args:
            write: called once, in the thread.

        Raises:
            RuntimeError: if a write is under way.
            BaseException: the error of the last write, if none has raised it yet; nothing is started then.
        """
        if self.busy:
            raise RuntimeError(
                "a write is under way, and there is one at a time: ask `busy`, or call finish()"
            )
        self.check()
        self._thread = threading.Thread(target=self._run, args=(write,), name="distfit checkpoint writer")
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a write is under way."""
        return self._thread is not None and self._thread.is_alive()

    def check(self) -> None:
        """Raise the error of a write that has finished; do not wait for one that is under way.

        Raises:
            BaseException: what the write raised, once.
        """
        if not self.busy:
            error, self._error = self._error, None
            if error is not None:
                raise error

    def finish(self) -> None:
        """Wait until no write is under way.

        Raises:
            BaseException: what the write raised, once.
        """
        if self._thread is not None:
            self._thread.join()
        self.check()

    def _run(self, write: Callable[[], object]) -> None:
        try:
            write()
        except BaseException as error:
            self._error = error
