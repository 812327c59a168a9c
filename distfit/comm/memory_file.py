"""Memory that the processes of a machine share, as a file without a name: nothing is left of it however they end.

One of them makes it, and the others open it through that process's entry in /proc. Between containers this cannot be
done. It takes no room in /dev/shm, which containers have little of.
"""

import os
import secrets
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where such a file lies.

    Attributes:
        path: of the file that a process of this machine has open.
        name: of the file: the same path may be another file in another container.
    """

    path: str
    name: str

    def open(self) -> int:
        """Return a descriptor of the file.

        Raises:
            OSError: if it cannot be reached from here, or is another one.
        """
        if os.readlink(self.path).split()[0] != f"/memfd:{self.name}":
            raise FileNotFoundError(self.path)
        return os.open(self.path, os.O_RDWR)


def make(purpose: str, size: int) -> tuple[int, Place]:
    """Return the descriptor of a new file of zeros, and where others find it while that is open.

    Args:
        purpose: begins its name, which tools show.
        size: in bytes.

    Raises:
        OSError: if the system has none.

    Ranks: local.
    """
    name = f"{purpose}-{secrets.token_hex(8)}"
    file = os.memfd_create(name)
    os.truncate(file, size)
    return file, Place(f"/proc/{os.getpid()}/fd/{file}", name)
