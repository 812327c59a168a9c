"""The signals that come to the supervisor, taken one by one where it is ready for them."""

import os
import select
import signal
from collections import deque
from types import FrameType, TracebackType

# WINCH: the terminal has another size.
_TAKEN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH)


class Mailbox:
    """A block in which signals wait until they are taken.

    Attributes:
        bell: a descriptor that can be read when one has come.

    Ranks: local; the supervisor's main thread.

    Example:
        >>> with Mailbox() as mailbox:
        ...     signal.raise_signal(signal.SIGUSR1)
        ...     print([number.name for number in mailbox.take()])
        ['SIGUSR1']
    """

    def __init__(self) -> None:
        self._came: deque[signal.Signals] = deque()
        self.bell, self._rope = os.pipe()
        os.set_blocking(self.bell, False)
        os.set_blocking(self._rope, False)

    def __enter__(self) -> "Mailbox":
        # A pipe, since a signal that comes just before a wait begins would not end that wait otherwise.
        self._rope_before = signal.set_wakeup_fd(self._rope, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, self._note) for number in _TAKEN}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        signal.set_wakeup_fd(self._rope_before)
        os.close(self.bell)
        os.close(self._rope)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._came.append(signal.Signals(number))

    def take(self) -> list[signal.Signals]:
        """Return the signals that came since the last call, in their order."""
        while select.select([self.bell], [], [], 0)[0]:
            os.read(self.bell, 4096)
        taken = list(self._came)
        self._came.clear()
        return taken

    def wait(self, seconds: float) -> None:
        """Return after some seconds, or as soon as a signal has come."""
        if not self._came:
            select.select([self.bell], [], [], seconds)
