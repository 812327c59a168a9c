"""What the machines of a job tell each other about their ranks, outside of MPI.

A rank that waits in MPI hears nothing, and a cut link is noticed by no MPI. So the first rank of each machine sends
root's machine a UDP packet a second, with the rows of its ranks' board, and gets those of all others back. A packet
names the ranks that are the furthest behind, and says of the others that they are not. Packets may be lost, or kept
out by a firewall: then nothing is known of another machine's ranks, and nothing is said about them. Nothing here
blocks or raises.
"""

import contextlib
import fcntl
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distfit.comm.board import ROW
from distfit.comm.lookout import Lookout

MOST_ROWS = 32
_QUIET = 6  # looks without a sign of life that make a rank worth naming
_ENTRY = np.dtype([("rank", "<i8"), ("row", ROW)])
_TOKEN_BYTES = 8
_HEAD = struct.Struct(
    f"<{_TOKEN_BYTES}sqq"
)  # the group's token, the sender, the most collectives that were begun
_MOST_BYTES = _HEAD.size + MOST_ROWS * _ENTRY.itemsize
_SIOCGIFADDR = 0x8915  # Linux: the IPv4 address of a network interface

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Contact:
    """How to reach root's machine.

    Attributes:
        token: by which packets of this group are known.
        addresses: where it may be reached; the first that answers is.
    """

    token: bytes
    addresses: tuple[Address, ...]


class Heartbeat:
    """The link of one machine to root's, or of root's to all others.

    Args:
        rows: of this machine's board: those of its own ranks are sent, those of others written.
        lookout: knows which ranks are silent.
        machines: the ranks of each machine; root's is the first.
        machine: which of them this is.
        contact: of root's machine.
        link: the socket; None on a machine that could not get one.
    """

    def __init__(
        self,
        rows: np.ndarray,
        lookout: Lookout,
        machines: Sequence[Sequence[int]],
        machine: int,
        contact: Contact,
        link: socket.socket | None,
    ) -> None:
        self._rows = rows
        self._lookout = lookout
        self._machines = machines
        self._machine = machine
        self._contact = contact
        self._to = contact.addresses
        self.link = link

    def send(self) -> None:
        """Tell root's machine of the ranks here. Root's own tells nobody by itself; it answers.

        Ranks: local.
        """
        if self._machine != 0:
            self._send(self._machines[self._machine], self._to)

    def receive(self) -> None:
        """Take what has come; root's machine answers.

        Ranks: local.
        """
        if self.link is None:
            return
        with contextlib.suppress(OSError):
            while True:
                packet, sender = self.link.recvfrom(_MOST_BYTES)
                self._take(packet, sender)

    def _take(self, packet: bytes, sender: Address) -> None:
        if len(packet) < _HEAD.size or (len(packet) - _HEAD.size) % _ENTRY.itemsize:
            return
        token, machine, most = _HEAD.unpack_from(packet)
        if token != self._contact.token or not 0 <= machine < len(self._machines):
            return
        if self._machine == 0:
            ranks = list(self._machines[machine])
        else:
            ranks = self._others(self._machine)
            self._to = (sender,)  # of root's addresses, the one from which there is an answer
        entries = np.frombuffer(packet, _ENTRY, offset=_HEAD.size)
        entries = entries[np.isin(entries["rank"], ranks)]
        # Of the others it says that they live and are not behind.
        self._rows["beat"][ranks] += 1
        self._rows["calls"][ranks] = most
        self._rows[entries["rank"]] = entries["row"]
        if self._machine == 0:
            self._send(self._others(machine), (sender,))

    def _others(self, machine: int) -> list[int]:
        return [rank for number, ranks in enumerate(self._machines) if number != machine for rank in ranks]

    def _send(self, ranks: Sequence[int], to: Sequence[Address]) -> None:
        if self.link is None:
            return
        rows = self._rows[list(ranks)]
        lively = self._lookout.quiet[list(ranks)] < _QUIET
        behind = np.lexsort((rows["calls"], lively))[:MOST_ROWS]
        entries = np.empty(len(behind), _ENTRY)
        entries["rank"], entries["row"] = np.asarray(ranks)[behind], rows[behind]
        head = _HEAD.pack(self._contact.token, self._machine, int(self._rows["calls"].max()))
        for address in to:
            with contextlib.suppress(OSError):
                self.link.sendto(head + entries.tobytes(), address)


def open_link() -> socket.socket | None:
    """Return a socket for packets, on any free port; None where there is none to be had.

    Ranks: local.
    """
    try:
        link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        link.setblocking(False)
        link.bind(("", 0))
    except OSError:
        return None
    return link


def addresses_of(link: socket.socket | None) -> tuple[Address, ...]:
    """Return where other machines may reach a socket: its port, at each of this machine's IPv4 addresses.

    Ranks: local.
    """
    found: list[Address] = []
    if link is not None:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # an interface without such an address
                answer = fcntl.ioctl(link, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                found.append((socket.inet_ntoa(answer[20:24]), link.getsockname()[1]))
    return tuple(sorted(found, key=lambda address: address[0].startswith("127.")))
