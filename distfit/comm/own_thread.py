"""A thread of distfit's own, whose error ends the job instead of being overlooked.

Python prints what a thread raises, and goes on without it: the job would run unwatched, and hang at the next fault. A
user's own threads are left as Python has them.
"""

import os
import threading
import traceback
from abc import ABC, abstractmethod

EXIT_BROKEN = 70
"""The status of a process that an error in such a thread ended: EX_SOFTWARE of sysexits.h."""

_STDERR = 2


class OwnThread(threading.Thread, ABC):
    """A thread that ends with its process, and its process with it if it fails.

    It may not call MPI, not even to abort. That a process ends with another status than 0 ends the job.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)

    @abstractmethod
    def work(self) -> None:
        """Do what the thread is there for."""

    def run(self) -> None:
        try:
            self.work()
        except BaseException:
            text = f"{traceback.format_exc()}distfit: the thread {self.name} failed, and the process ends with it\n"
            os.write(_STDERR, text.encode())  # past Python's buffers, which the main thread may hold
            os._exit(EXIT_BROKEN)
