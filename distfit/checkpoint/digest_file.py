"""A file that is written and digested in one pass."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator
from pathlib import Path
from types import TracebackType

from distfit.checkpoint import files

CHUNK_BYTES = 1 << 24
"""What is digested and written at once, while other threads run.

After each piece a thread has to wait for Python's lock, up to 5 ms where another thread computes in Python: pieces of
1 MiB would bring a thread in the background below 100 MB/s.
"""

_SMALL_BYTES = 1 << 20  # what is smaller is gathered first


class DigestFile:
    """A new file, and the SHA-256 of what was written to it.

    It is a context manager: left by an error, it closes the file, and leaves its removal to others.

    Args:
        path: of a file that is not there yet.

    Raises:
        OSError: naming the file, from any method.

    Example:
        >>> import pathlib, tempfile
        >>> from distfit.checkpoint.digest_file import DigestFile
        >>> with DigestFile(pathlib.Path(tempfile.mkdtemp()) / "abc") as file:
        ...     file.write(b"abc")
        ...     print(file.finish()[:8])
        ba7816bf

    Ranks: local; any thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest = hashlib.sha256()
        self._pending = bytearray()
        self._size = 0
        self._descriptor: int | None = files.create(path)

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes. They are on the disk once `finish` returned."""
        view = memoryview(data)
        if len(view) < _SMALL_BYTES:
            self._pending += view
            if len(self._pending) >= CHUNK_BYTES:
                self._flush()
            return
        self._flush()
        for start in range(0, len(view), CHUNK_BYTES):
            self._put(view[start : start + CHUNK_BYTES])

    def finish(self) -> str:
        """Bring the file to the disk, close it, and return its SHA-256 in hexadecimal digits."""
        self._flush()
        with self._named():
            files.sync(self._open())
        self._close()
        return self._digest.hexdigest()

    def __enter__(self) -> DigestFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _flush(self) -> None:
        pending, self._pending = self._pending, bytearray()
        self._put(memoryview(pending))

    def _put(self, view: memoryview) -> None:
        self._digest.update(view)
        while view:
            with self._named():
                count = files.write(self._open(), view)
                files.start_sync(self._open(), self._size, count)
            self._size += count
            view = view[count:]

    def _open(self) -> int:
        if self._descriptor is None:
            raise ValueError(f"{self._path} is closed")
        return self._descriptor

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with self._named():
                files.close(descriptor)

    @contextlib.contextmanager
    def _named(self) -> Generator[None]:
        """Name the file in an error: the operating system does not, for a descriptor."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error
