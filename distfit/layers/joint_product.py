"""A gradient that the ranks of a machine compute together: the product of all their rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class JointProduct:
    """The rows of all ranks of a machine, of which a kernel's gradient is the product: ``inputs.T @ deltas``.

    Each rank writes its own rows to memory that all of them share. Instead of a product of its rows as large as the
    kernel, which the others would have to read and add, each then computes some rows of the product over the rows of
    all. What a rank has not, is zeros.

    Args:
        inputs: ``(ranks, most rows of a rank, inputs)``, in shared memory, of zeros.
        deltas: ``(ranks, most rows of a rank, units)``, likewise: the gradient by what the kernel gives.
        elsewhere: for each rank one number, in shared memory: 1 where its gradient lies in its buffer after all.
        rank: this one's number on its machine.
    """

    def __init__(
        self, inputs: np.ndarray, deltas: np.ndarray, elsewhere: Sequence[np.ndarray], rank: int
    ) -> None:
        self._inputs, self._deltas = inputs[rank], deltas[rank]
        self._all_inputs = inputs.reshape(-1, inputs.shape[-1]).T
        self._all_deltas = deltas.reshape(-1, deltas.shape[-1])
        self._elsewhere = elsewhere
        self._rank = rank
        self._filled = 0  # rows that may be other than zeros

    @property
    def most_rows(self) -> int:
        """How many rows of a rank there is room for."""
        return len(self._inputs)

    def take(self, inputs: np.ndarray, deltas: np.ndarray) -> bool:
        """Take this rank's rows, and say whether there is room for them.

        Ranks: local, before an agreement behind which others read them.
        """
        rows = len(inputs)
        if rows > self.most_rows:
            self.leave()
            return False
        self._inputs[:rows] = inputs
        self._deltas[:rows] = deltas
        self._zero(rows)
        self._elsewhere[self._rank][...] = 0
        return True

    def withdraw(self, out: np.ndarray) -> None:
        """Compute the product of this rank's rows after all, into its gradient, to which something is to be added.

        Ranks: local.
        """
        np.matmul(self._inputs[: self._filled].T, self._deltas[: self._filled], out=out)
        self.leave()

    def leave(self) -> None:
        """Let the others take this rank's gradient from its buffer.

        Ranks: local.
        """
        self._zero(0)
        self._elsewhere[self._rank][...] = 1

    def clear(self) -> None:
        """Have no rows.

        Ranks: local.
        """
        self._zero(0)
        self._elsewhere[self._rank][...] = 0

    def _zero(self, rows: int) -> None:
        self._inputs[rows : self._filled] = 0
        self._deltas[rows : self._filled] = 0
        self._filled = rows

    def are_elsewhere(self) -> list[int]:
        """Return the ranks whose gradient lies in their buffers."""
        return [rank for rank, one in enumerate(self._elsewhere) if one]

    def multiply(self, rows: slice, out: np.ndarray | None = None) -> np.ndarray:
        """Return rows of the product over all ranks' rows, in `out` if it is given.

        Ranks: local, behind an agreement before which all have written theirs.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # of rows that nobody needs, since a step failed
            product: np.ndarray = np.matmul(self._all_inputs[rows], self._all_deltas, out=out)
        return product
