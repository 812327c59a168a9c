"""Event files: what TensorBoard reads."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np

_numbers = itertools.count()


class EventFile:
    """A file of events, which is opened for each write, and closed again.

    So each value is there to be read at once, an error in writing is raised where it happens, and a training that
    fails leaves nothing open. tensorboardX's own writer has a thread for that: where it ends for a full disk, the next
    write waits for it without an end.

    Args:
        folder: where the file is made; it is made where it is missing.

    Raises:
        ImportError: without the package tensorboardX.
        OSError: if the file cannot be written; from `write`, too.

    Ranks: local; one rank.
    """

    def __init__(self, folder: Path) -> None:
        self._protocol = _Protocol()
        folder.mkdir(parents=True, exist_ok=True)
        names = ("events.out.tfevents", int(time.time()), socket.gethostname(), os.getpid(), next(_numbers))
        self._path = folder / ".".join(map(str, names))
        self._append([self._protocol.event(file_version="brain.Event:2")])

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Write numbers by tag."""
        make = self._protocol.summary.scalar
        self.write([make(tag, value) for tag, value in values.items()], step)

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        """Write how often which values occur, in 30 bins as TensorFlow does."""
        self.write([self._protocol.summary.histogram(tag, values, bins=30)], step)

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """Write a grey image ``(height, width)`` of uint8."""
        self.write([self._protocol.summary.image(tag, pixels, dataformats="HW")], step)

    def text(self, tag: str, text: str, step: int) -> None:
        """Write text in Markdown."""
        self.write([self._protocol.summary.text(tag, text)], step)

    def write(self, summaries: list[Any], step: int) -> None:
        """Write messages of protobuf's type ``Summary``."""
        self._append([self._protocol.event(step=step, summary=summary) for summary in summaries])

    def _append(self, events: list[bytes]) -> None:
        with self._path.open("ab") as file:
            for event in events:
                file.write(self._protocol.record(event))


class _Protocol:
    """What tensorboardX knows of the format: the messages, and their checksum."""

    def __init__(self) -> None:
        try:
            from tensorboardX import summary
            from tensorboardX.proto.event_pb2 import Event
            from tensorboardX.record_writer import masked_crc32c
        except ImportError as error:
            raise ImportError(
                "TensorBoard needs the package tensorboardX: pip install 'distfit-mpi[tensorboard]'"
            ) from error
        self.summary, self._event, self._checksum = summary, Event, masked_crc32c

    def event(self, **content: Any) -> bytes:
        """Return an event of now."""
        message: bytes = self._event(wall_time=time.time(), **content).SerializeToString()
        return message

    def record(self, content: bytes) -> bytes:
        """Frame an event as TensorFlow's TFRecord: length and content, each followed by its checksum."""
        length = struct.pack("<Q", len(content))
        return b"".join(
            [length, self._masked(length), content, self._masked(content)],
        )

    def _masked(self, content: bytes) -> bytes:
        return struct.pack("<I", self._checksum(content))
