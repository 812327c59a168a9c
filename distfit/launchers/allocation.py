"""Where the ranks of a job may run, and who starts them there."""

import contextlib
import platform
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from distfit.errors import LaunchError


@dataclass(frozen=True, slots=True)
class Allocation:
    """The places for a job's ranks.

    Args:
        slots: how many ranks each host may get, by its name. Empty for this machine alone, and where mpiexec learns
            the hosts from the batch system by itself.
        ranks: how many there are in all, where `slots` does not say it.
        here: how many of them are on this machine, where `slots` does not say it.
        by_ssh: whether mpiexec starts the ranks of other hosts by ssh; else by the batch system's own means.
        source: who says so, for messages.
    """

    slots: Mapping[str, int] = field(default_factory=dict)
    ranks: int = 0
    here: int = 0
    by_ssh: bool = False
    source: str = "this machine"

    @property
    def total(self) -> int:
        """For how many ranks there is place."""
        return sum(self.slots.values()) or self.ranks

    def with_ranks_per_node(self, ranks: int | None) -> "Allocation":
        """Return the same hosts with so many places each; the same places where there is no number.

        Raises:
            LaunchError: for a number below one, or where the batch system alone says how many.

        Example:
            >>> Allocation({"node1": 1, "node2": 1}).with_ranks_per_node(4).slots
            {'node1': 4, 'node2': 4}
        """
        if ranks is None:
            return self
        if ranks < 1:
            raise LaunchError(f"--ranks-per-node is 1 or more. Received: {ranks}")
        if self.slots:
            return replace(self, slots=dict.fromkeys(self.slots, ranks))
        if self.total:
            raise LaunchError(
                f"{self.source} has its ranks already: instead of --ranks-per-node ask it for other tasks"
            )
        return replace(self, ranks=ranks, here=ranks)

    @property
    def is_here(self) -> bool:
        """Whether all of it is this machine."""
        return all(map(is_here, self.slots)) if self.slots else self.here == self.ranks

    def ranks_here(self, placed: Mapping[str, int]) -> int:
        """Return how many of the ranks that were placed are on this machine."""
        if not self.slots:
            return self.here
        return sum(number for host, number in placed.items() if is_here(host))


@cache
def is_here(host: str) -> bool:
    """Say whether a name is this machine's.

    Ranks: local. It may ask a name server, once for each name.

    Example:
        >>> is_here("localhost"), is_here("203.0.113.7")
        (True, False)
    """
    if host in ("localhost", platform.node()):
        return True
    with contextlib.suppress(OSError):
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), 0, type=socket.SOCK_DGRAM)[
            0
        ]
        with contextlib.closing(socket.socket(family, kind, protocol)) as probe:
            probe.bind(address)  # which only an address of one's own allows
            return True
    return False
