"""Several machines, on one."""

import pytest

from distfit.comm import Communicator


def machines(comm: Communicator, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Let a group take its ranks for those of several machines with `size` each, the last perhaps with fewer."""
    comm.agreement  # noqa: B018 - its watchdogs meet as what they are
    first = comm.rank // size * size
    monkeypatch.setitem(vars(comm), "node_ranks", list(range(first, min(first + size, comm.size))))
