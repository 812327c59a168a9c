"""How many ranks start where, with the hosts that there are."""

from collections.abc import Mapping

from distfit.errors import LaunchError


def place(wanted: int, at_least: int, slots: Mapping[str, int]) -> dict[str, int]:
    """Return how many ranks each host gets: as many as are wanted, or fewer where hosts are gone.

    Args:
        wanted: ranks.
        at_least: ranks; with fewer the job is not worth starting.
        slots: of each host that is there, how many ranks it may get. They are filled in this order.

    Raises:
        LaunchError: if there is no place for `at_least`.

    Ranks: local.

    Example:
        >>> place(6, 2, {"node1": 4, "node2": 4})
        {'node1': 4, 'node2': 2}
        >>> place(6, 2, {"node2": 4})  # node1 is gone
        {'node2': 4}
    """
    placed: dict[str, int] = {}
    for host, number in slots.items():
        free = wanted - sum(placed.values())
        if min(number, free) > 0:
            placed[host] = min(number, free)
    total = sum(placed.values())
    if total < at_least:
        there = ", ".join(f"{host} ({number})" for host, number in slots.items()) or "none"
        raise LaunchError(
            f"the job needs at least {at_least} ranks, and the hosts that are there have places for {total}: {there}."
            " Bring hosts back, give them more, or allow fewer with --min-ranks"
        )
    return placed
