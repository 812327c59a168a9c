"""The group of one rank: it does everything that a larger one does, with nobody to wait for."""

import os
import platform
from collections.abc import Sequence

import numpy as np

from distfit.comm.transport import Pending, Reduction, Transport


class _Ended(Pending):
    """What took no time."""

    def has_ended(self) -> bool:
        return True

    def wait(self) -> None:
        """It has."""


class LoneTransport(Transport):
    """One rank on its own."""

    rank = 0
    size = 1

    def __init__(self) -> None:
        self.host = platform.node()

    def sum_message(self, message: np.ndarray) -> None:
        """The sum over one rank stands there already."""

    def all_reduce(self, buffer: np.ndarray, reduction: Reduction = "sum") -> None:
        """So does any reduction."""

    def reduce_scatter(self, whole: np.ndarray, counts: Sequence[int], part: np.ndarray) -> None:  # noqa: ARG002
        part[:] = whole

    def broadcast(self, buffer: np.ndarray, root: int = 0) -> None:
        """Root has it."""

    def all_gather(self, part: np.ndarray, counts: Sequence[int], whole: np.ndarray) -> None:  # noqa: ARG002
        whole[:] = part

    def prepare_to_begin(self) -> None:
        """Nothing is needed."""

    def begin_all_reduce(self, buffer: np.ndarray) -> Pending:  # noqa: ARG002
        return _Ended()

    def begin_all_to_all(self, sent: np.ndarray, received: np.ndarray) -> Pending:
        received[:] = sent
        return _Ended()

    def begin_all_gather(self, part: np.ndarray, whole: np.ndarray) -> Pending:
        whole[:] = part
        return _Ended()

    def gather(self, part: np.ndarray, counts: Sequence[int], whole: np.ndarray) -> None:  # noqa: ARG002
        whole[:] = part

    def all_gather_bytes(self, packed: bytes) -> list[bytes]:
        return [packed]

    def broadcast_bytes(self, packed: bytes, root: int = 0) -> bytes:  # noqa: ARG002
        return packed

    def split(self, color: int | None, key: int) -> Transport | None:  # noqa: ARG002
        return None if color is None else LoneTransport()

    def node_ranks(self) -> Sequence[int]:
        return (0,)

    def free(self) -> None:
        """It took nothing."""

    def abort(self, status: int) -> None:
        os._exit(status)
