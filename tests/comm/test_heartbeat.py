"""What machines tell each other: two of them in one process, by packets on the loopback interface."""

import socket
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from distfit.comm.board import Board
from distfit.comm.heartbeat import MOST_ROWS, Contact, Heartbeat, addresses_of, open_link
from distfit.comm.lookout import Lookout

WAIT_S = 10.0  # for a packet; it is there at once


class Machine:
    def __init__(self, number: int, machines: list[list[int]], contact: Contact, link: socket.socket) -> None:
        self.size = sum(map(len, machines))
        self.board = Board(self.size)
        self.ranks = machines[number]
        self.lookout = Lookout(self.board, self.ranks[0])
        self.heartbeat = Heartbeat(self.board.rows, self.lookout, machines, number, contact, link)
        self.link = link
        self.beat = 0

    def live(self, **calls: int) -> None:
        """Let all ranks of the machine beat; those named ``r3=7`` have begun 7 collectives, others 5."""
        self.beat += 1
        for rank in self.ranks:
            done = calls.get(f"r{rank}", 5)
            self.board.write(rank, beat=self.beat, calls=done, finished=1, step=1, text=f"rank {rank}")

    def receive(self) -> None:
        """Take the packet that is on its way."""
        self.link.settimeout(WAIT_S)
        self.link.recv(1, socket.MSG_PEEK)
        self.link.setblocking(False)
        self.heartbeat.receive()


Cluster = Callable[..., list[Machine]]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Return what makes machines with so many ranks each."""
    made: list[Machine] = []

    def make(*sizes: int) -> list[Machine]:
        made.extend(machines_of(*sizes))
        return made

    yield make
    for machine in made:
        machine.link.close()


def machines_of(*sizes: int) -> list[Machine]:
    starts = np.cumsum([0, *sizes])
    machines = [list(range(a, b)) for a, b in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)]
    links = [link for _ in machines if (link := open_link()) is not None]
    contact = Contact(b"12345678", (("127.0.0.1", links[0].getsockname()[1]),))
    return [Machine(number, machines, contact, link) for number, link in enumerate(links)]


def exchange(root: Machine, other: Machine) -> None:
    other.heartbeat.send()
    root.receive()
    other.receive()


def test_both_machines_know_what_all_ranks_do(cluster: Cluster) -> None:
    root, other = cluster(2, 2)
    root.live(r1=4)
    other.live(r2=6)
    exchange(root, other)
    for machine in (root, other):
        assert machine.board.rows["calls"].tolist() == [5, 4, 6, 5]
        assert [machine.board.text(rank) for rank in range(4)] == ["rank 0", "rank 1", "rank 2", "rank 3"]
        assert machine.lookout.look(10).missing == ([1] if machine is root else [0, 1, 3])


def test_what_a_third_machine_does_comes_by_way_of_roots(cluster: Cluster) -> None:
    root, second, third = cluster(1, 1, 1)
    for machine in (root, second, third):
        machine.live()
    exchange(root, second)
    assert third.board.rows["beat"].tolist() == [0, 0, 1]
    exchange(root, third)
    assert third.board.text(1) == "rank 1"


def test_a_machine_from_which_nothing_comes_is_silent(cluster: Cluster) -> None:
    root, second, third = cluster(1, 1, 1)
    silent = {}
    for look in range(8):
        for machine in (root, second, third):
            machine.live()
        exchange(root, second)
        if look == 0:
            exchange(root, third)  # and no more: its cable is out
        silent = {machine.ranks[0]: machine.lookout.look(5).silent for machine in (root, second, third)}
    assert silent == {0: [2], 1: [2], 2: [0, 1]}


def test_of_many_ranks_those_that_are_behind_travel(cluster: Cluster) -> None:
    root, other = cluster(1, 3 * MOST_ROWS)
    root.live()
    late = [2, 40, 3 * MOST_ROWS]
    other.live(**{f"r{rank}": 3 for rank in late})
    exchange(root, other)
    assert root.lookout.look(5).missing == late
    assert [root.board.text(rank) for rank in late] == [f"rank {rank}" for rank in late]
    for _ in range(8):
        exchange(root, other)
        root.lookout.look(5)
    assert root.lookout.quiet[-2] == 0  # of whom nothing is told but that they live


def test_packets_of_strangers_are_passed_over(cluster: Cluster) -> None:
    root, _ = cluster(1, 1)
    address = ("127.0.0.1", root.link.getsockname()[1])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for packet in (b"", b"hello", b"87654321" + bytes(16), b"12345678" + b"\xff" * 16, bytes(2000)):
            stranger.sendto(packet, address)
            root.receive()
    assert root.board.rows["beat"].tolist() == [0, 0]


def test_an_address_that_nobody_hears_does_no_harm(cluster: Cluster) -> None:
    machine, other = cluster(1, 1)
    contact = Contact(b"12345678", (("127.0.0.1", 9), ("203.0.113.1", 9)))
    lost = Heartbeat(other.board.rows, other.lookout, [[0], [1]], 1, contact, other.link)
    for _ in range(3):
        lost.send()
        lost.receive()
    assert Heartbeat(machine.board.rows, machine.lookout, [[0], [1]], 1, contact, None).send() is None


def test_the_addresses_of_this_machine() -> None:
    link = open_link()
    assert link is not None
    found = addresses_of(link)
    assert ("127.0.0.1", link.getsockname()[1]) in found
    assert addresses_of(None) == ()
    link.close()
