"""What the ranks write, on its way to the terminal and to root's log."""

import contextlib
import fcntl
import os
import pty
import selectors
import sys
import termios
import tty
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

STDOUT, STDERR = 1, 2
_REMEMBERED = 1 << 16
_PIECE = 1 << 16


class Output:
    """Copies what comes from mpiexec, and from root where that has a terminal of its own.

    Root draws a progress bar if its output is a terminal. Behind mpiexec's pipes it is none; so if the supervisor's own
    is one, root writes to a second terminal, whose other end is here.

    Args:
        log: of root; None for none.

    Attributes:
        terminals: what root's standard output and error are to be; empty for what mpiexec gives it.

    Ranks: local; the supervisor's.
    """

    def __init__(self, log: Path | None) -> None:
        self._log: BinaryIO | None = log.open("wb", buffering=0) if log else None
        self._sources = selectors.DefaultSelector()
        self._remembered = bytearray()
        self._ours: list[int] = []
        self._lost: set[int] = set()
        self.terminals = ("", "")
        if os.isatty(STDOUT):
            here, there = pty.openpty()
            self._ours = [
                here,
                there,
            ]  # the far end stays open here, too: closed by all, it could not be read
            tty.setraw(there)  # the real terminal is the one that makes of a line's end what it needs
            name = os.ttyname(there)
            self.terminals = (name, name if os.isatty(STDERR) else "")
            self.resize()
            self.copy(here, STDOUT)

    def __enter__(self) -> "Output":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sources.close()
        for descriptor in self._ours:
            os.close(descriptor)
        if self._log is not None:
            self._log.close()

    def copy(self, source: int, target: int) -> None:
        """Copy what comes from a descriptor to one of ours from now on."""
        os.set_blocking(source, False)
        self._sources.register(source, selectors.EVENT_READ, target)

    def resize(self) -> None:
        """Give root's terminal the size of the real one."""
        if self._ours:
            with contextlib.suppress(OSError):
                size = fcntl.ioctl(STDOUT, termios.TIOCGWINSZ, b"\0" * 8)
                fcntl.ioctl(self._ours[1], termios.TIOCSWINSZ, size)

    def pump(self, seconds: float, bells: Iterable[int] = ()) -> set[int]:
        """Copy what comes, until there was something, or some seconds are over, or one of the `bells` can be read.

        Returns:
            The bells that can.
        """
        for bell in bells:
            self._sources.register(bell, selectors.EVENT_READ, None)
        try:
            ready = self._sources.select(seconds)
        finally:
            for bell in bells:
                self._sources.unregister(bell)
        for key, _ in ready:
            if key.data is not None:
                self._pass_on(key.fd, key.data)
        return {key.fd for key, _ in ready if key.data is None}

    def drain(self) -> None:
        """Copy what is there already."""
        while self._sources.get_map() and (ready := self._sources.select(0)):
            for key, _ in ready:
                self._pass_on(key.fd, key.data)

    def _pass_on(self, source: int, target: int) -> None:
        try:
            piece = os.read(source, _PIECE)
        except BlockingIOError:
            return
        except OSError:  # the far end of a terminal is gone
            piece = b""
        if not piece:
            self._sources.unregister(source)
            return
        piece = piece.replace(b"\0", b"")  # of which Open MPI leaves some
        self._remembered += piece
        del self._remembered[:-_REMEMBERED]
        if self._log is not None:
            self._log.write(piece)
        self._write(target, piece)

    def _write(self, target: int, piece: bytes) -> None:
        """Write all of it. Where the terminal or a pipe behind us is gone, the training goes on without."""
        try:
            while piece and target not in self._lost:
                piece = piece[os.write(target, piece) :]
        except OSError:
            self._lost.add(target)

    @property
    def text(self) -> str:
        """The last of what was written."""
        return self._remembered.decode(errors="replace").replace("\r\n", "\n")


def say(text: str) -> None:
    """Tell the user something, on standard error.

    Ranks: local; the supervisor's.
    """
    with contextlib.suppress(OSError):  # the terminal may be gone
        sys.stderr.write(f"distfit: {text}\n")
        sys.stderr.flush()


def tail(log: Path) -> str:
    """Return the end of a log; nothing of one that was never begun.

    Ranks: local; the supervisor's.
    """
    with contextlib.suppress(FileNotFoundError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _REMEMBERED))
        return file.read().decode(errors="replace")
    return ""
