"""A thread in each process that says who keeps whom waiting, and ends the job where nobody comes.

It makes no call of MPI, which belongs to the main thread, and costs that thread nothing: it looks at what the main
thread notes in `distfit.utils.activity`, at its stack, and at what the watchdogs of the other ranks show on a board. A
rank that is at work keeps nobody waiting without reason, however long it takes: what counts as work is what distfit
finished, a batch that was read or a file that was written.
"""

import functools
import os
import secrets
import selectors
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

from distfit.comm import signals
from distfit.comm.board import Board
from distfit.comm.group_watch import NAP_S, GroupWatch, Report
from distfit.comm.heartbeat import Contact, Heartbeat, addresses_of, open_link
from distfit.comm.lookout import Lookout
from distfit.comm.memory_file import Place
from distfit.comm.own_thread import OwnThread
from distfit.comm.packing import pack, unpack
from distfit.comm.patience import EXIT_STALLED, patience
from distfit.comm.transport import Transport
from distfit.comm.whereabouts import stack, whereabouts
from distfit.utils.activity import now

_STDERR = 2
_TIME_TO_END_S = 30.0  # behind a SIGTERM; batch systems take the process away after about as long


class Watchdog(OwnThread):
    """The thread, which ends with its process."""

    def __init__(self) -> None:
        super().__init__("distfit-watchdog")
        self._groups: list[tuple[weakref.ref[Transport], GroupWatch]] = []
        self._links = selectors.DefaultSelector()

    def add(self, transport: Transport, watch: GroupWatch, heartbeat: Heartbeat | None) -> None:
        """Watch a group, too, as long as there is anything that holds on to it."""
        if heartbeat is not None and heartbeat.link is not None:
            self._links.register(heartbeat.link, selectors.EVENT_READ, heartbeat)
            weakref.finalize(transport, self._forget, heartbeat)
        self._groups.append((weakref.ref(transport), watch))

    def work(self) -> None:
        since_end_was_due = 0.0
        while True:
            self._nap()
            since_end_was_due = since_end_was_due + NAP_S if signals.end_is_due() else 0.0
            if since_end_was_due > _TIME_TO_END_S:
                _say(Report(f"distfit: {_TIME_TO_END_S:.0f} s after SIGTERM the process ends\n", ends=True))
            where = whereabouts()
            for known, watch in list(self._groups):
                group = known()
                if group is None:
                    self._groups.remove((known, watch))
                else:
                    _say(watch.tick(group, now, where, stack))

    def _nap(self) -> None:
        """Sleep until the next look, but for packets that come."""
        end = time.monotonic() + NAP_S
        while (left := end - time.monotonic()) > 0:
            for key, _ in self._links.select(left):
                key.data.receive()

    def _forget(self, heartbeat: Heartbeat) -> None:
        if heartbeat.link is not None:
            self._links.unregister(heartbeat.link)
            heartbeat.link.close()


def _say(report: Report | None) -> None:
    if report is not None:
        os.write(_STDERR, report.text.encode())  # past Python's buffers, which the main thread may hold
        if report.ends:
            os._exit(EXIT_STALLED)


@functools.cache
def _watchdog() -> Watchdog:
    watchdog = Watchdog()
    watchdog.start()
    return watchdog


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a rank tells the others of its group when they begin to work together.

    Attributes:
        host: its machine.
        first: the first of the ranks on it.
        place: of the board there, from that one.
        contact: how other machines reach root's, from root.
    """

    host: str
    first: int
    place: Place | None
    contact: Contact | None


def watch(transport: Transport, node: Sequence[int]) -> None:
    """Watch a group of several ranks from here on.

    Args:
        transport: of the group.
        node: the ranks on this machine, in order.

    Ranks: every rank; one exchange of some two hundred bytes from each.
    """
    first = node[0]
    leads = transport.rank == first
    board = Board.make(transport.size) if leads else None
    link = open_link() if leads and len(node) < transport.size else None
    contact = Contact(secrets.token_bytes(8), addresses_of(link)) if transport.rank == 0 else None
    own = pack(Introduction(transport.host, first, board.place if board else None, contact))
    ranks: list[Introduction] = [unpack(one) for one in transport.all_gather_bytes(own)]
    board = board or Board.open(ranks[first].place, transport.size)
    lookout = Lookout(board, transport.rank)
    heartbeat = None
    if link is not None and ranks[0].contact is not None:
        machines = [
            [r for r, one in enumerate(ranks) if one.first == f] for f in sorted({one.first for one in ranks})
        ]
        own_machine = next(number for number, members in enumerate(machines) if first in members)
        heartbeat = Heartbeat(board.rows, lookout, machines, own_machine, ranks[0].contact, link)
    hosts = [one.host for one in ranks]
    group_watch = GroupWatch(transport.rank, hosts, board, patience, lookout, heartbeat)
    group_watch.show(transport, now, whereabouts())  # a rank may be stopped before its watchdog first looks
    _watchdog().add(transport, group_watch, heartbeat)
