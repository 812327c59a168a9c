"""Several machines, on one."""

import os
from typing import Any

import pytest

from distfit.comm import Communicator
from distfit.training import node_update


def machines(comm: Communicator, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Let a group take its ranks for those of several machines with `size` each, the last perhaps with fewer."""
    comm.agreement  # noqa: B018 - its watchdogs meet as what they are
    first = comm.rank // size * size
    monkeypatch.setitem(vars(comm), "node_ranks", list(range(first, min(first + size, comm.size))))


def no_memory_for_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the last rank find none, when weights are in memory that ranks share, and gradients are to follow."""
    share = node_update.share

    def fail(*_: Any) -> None:
        raise OSError("no memory for it")

    def shared(comm: Communicator, fields: Any, gradients: Any, **options: Any) -> Any:
        with monkeypatch.context() as patch:
            if not fields and comm.rank == comm.size - 1:
                patch.setattr(os, "posix_fallocate", fail)
            return share(comm, fields, gradients, **options)

    monkeypatch.setattr(node_update, "share", shared)
