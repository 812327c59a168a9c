"""All ranks agree on the callbacks: which there are, which hooks they have, and where each of them runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from distfit.callbacks.callback import Callback, Ranks
from distfit.callbacks.dispatch.hooks import ALL_HOOKS, Hook, hook_of
from distfit.callbacks.dispatch.placement import Placed
from distfit.comm import Communicator, Phase, all_equal, fingerprint, key_of, pack, unpack
from distfit.errors import DataMismatch

_PLACES = {"all": "on all ranks", "root": "on root", "local_root": "once on each node"}


@dataclass(frozen=True, slots=True)
class Member:
    """What ranks compare of a callback.

    Attributes:
        name: of its class.
        ranks: where it runs.
        hooks: those that it overrides.
        code: where each of them is written: two callbacks of functions are not the same for having the same hooks.
        reads_agreed_logs: see `Callback`.
    """

    name: str
    ranks: Ranks
    hooks: tuple[str, ...]
    code: tuple[str, ...] = ()
    reads_agreed_logs: bool = False

    @classmethod
    def of(cls, placed: Placed) -> Member:
        """Read which hooks a callback has."""
        methods = {name: hook_of(placed.callback, name) for name in ALL_HOOKS}
        found = {name: method for name, method in methods.items() if method is not None}
        reads = isinstance(placed.callback, Callback) and placed.callback.reads_agreed_logs
        code = tuple(map(_where, found.values()))
        return cls(type(placed.callback).__name__, placed.ranks, tuple(found), code, reads)

    def __str__(self) -> str:
        return f"{self.name} {_PLACES[self.ranks]} ({', '.join(self.hooks) or 'no hooks'})"


def _where(method: Callable[..., None]) -> str:
    """Return where a function is written, as text that is the same on all ranks; its type where it is none."""
    code = getattr(method, "__code__", None)
    return type(method).__name__ if code is None else f"{method.__qualname__}:{code.co_firstlineno}"


class Roster:
    """The callbacks of all ranks, as this rank knows them.

    Args:
        placed: this rank's callbacks. The hooks that they have now are read once.
    """

    def __init__(self, placed: list[Placed]) -> None:
        self._placed = placed
        self._members: list[tuple[Member, int | None]] = [
            (Member.of(one), index) for index, one in enumerate(placed)
        ]

    def agree(self, comm: Communicator) -> None:
        """Take root's callbacks for those of all ranks.

        Raises:
            DataMismatch: as `agree_on_members`.

        Ranks: every rank; one small message, and the names of all callbacks if they differ.
        """
        self._members = agree_on_members([member for member, _ in self._members], comm)

    def places(self) -> str:
        """Return which callback runs where, on one line."""
        by_place: dict[str, list[str]] = {}
        for member, _ in self._members:
            by_place.setdefault(_PLACES[member.ranks], []).append(member.name)
        return "; ".join(f"{', '.join(names)} {place}" for place, names in by_place.items())

    def named(self) -> Iterator[tuple[str, Ranks, int | None]]:
        """Yield a name for each callback, where it runs, and its place in this rank's list; None if it is not there.

        The name is that of its class, with a number from the second one of a class on: equal on all ranks.
        """
        seen: Counter[str] = Counter()
        for member, index in self._members:
            seen[member.name] += 1
            number = seen[member.name]
            yield member.name if number == 1 else f"{member.name} {number}", member.ranks, index

    def hooks(self, name: str) -> list[Hook]:
        """Return the hooks of that name which do something, on whichever rank, in the callbacks' order."""
        found = []
        for member, index in self._members:
            if name in member.hooks:
                method = self._method(name, index)
                is_own = (method.__module__ or "").startswith("distfit.")
                found.append(
                    Hook(method, member.ranks, f"{member.name}.{name}", member.reads_agreed_logs, is_own)
                )
        return found

    def _method(self, name: str, index: int | None) -> Callable[..., None]:
        method = None if index is None else hook_of(self._placed[index].callback, name)
        return method or _of_root_alone


def _of_root_alone(*_: object) -> None:
    """Stand in, on the other ranks, for a hook that they do not call."""


def agree_on_members(mine: list[Member], comm: Communicator) -> list[tuple[Member, int | None]]:
    """Agree that all ranks have root's callbacks, but for some that root alone may have.

    A callback that was appended under ``if rank == 0:`` runs on root. The other ranks have to know of it, too: they
    join the agreements behind its hooks.

    Args:
        mine: this rank's.
        comm: the ranks.

    Returns:
        Root's members, in order, each with the index of this rank's own; None where it has none, or does not call it.

    Raises:
        DataMismatch: on all ranks, if they differ in another way. It names the first difference.

    Ranks: every rank; one small message, and the names of all callbacks if they differ.
    """
    packed, payload = pack(mine), np.array(fingerprint(repr(mine)))
    agreed = comm.agreement.agree(Phase.HOOKS, payload, key=key_of("the callbacks"), name="the callbacks")
    if all_equal(agreed.sums.tolist()):
        return [(member, index) for index, member in enumerate(mine)]
    root, *others = map(unpack, comm.transport.all_gather_bytes(packed))
    for rank, other in enumerate(others, start=1):
        _check(root, other, 0, rank)
        _check(others[0], other, 1, rank)
    own = list(range(len(root))) if comm.is_root else match(root, mine)
    return [
        (member if place is not None else replace(member, ranks="root"), index)
        for member, place, index in zip(root, match(root, others[0]), own, strict=True)
    ]


def match(root: list[Member], other: list[Member]) -> list[int | None]:
    """Return for each of root's members the index of the other rank's equal one; None where it has none.

    Those that do not run on the other rank may stand anywhere in its list; all others in root's order.
    """
    runs_here = [index for index, member in enumerate(other) if member.ranks != "root"]
    left_to_root = [index for index, member in enumerate(other) if member.ranks == "root"]
    found: list[int | None] = []
    for member in root:
        places = left_to_root if member.ranks == "root" else runs_here[:1]
        place = next((index for index in places if other[index] == member), None)
        if place is not None:
            (left_to_root if member.ranks == "root" else runs_here).remove(place)
        found.append(place)
    return found


def _check(here: list[Member], there: list[Member], first: int, second: int) -> None:
    """Raise if the second rank has something that the first has not. Every rank checks all, and so raises the same."""
    unmatched = sorted(set(range(len(there))).difference(match(here, there)))
    if unmatched:
        raise DataMismatch(
            f"ranks differ in the callbacks: rank {second} has {there[unmatched[0]]}, and rank {first} has not, or has"
            f" it elsewhere in the list.\n    rank {first} has {_listed(here)}\n    rank {second} has {_listed(there)}"
            "\nGive all ranks the same callbacks, in the same order. What only root needs has ranks = 'root', or stands"
            " in on_root(...); only such a callback may be appended under `if rank == 0:`."
        )


def _listed(members: list[Member]) -> str:
    return "; ".join(map(str, members)) or "none"
