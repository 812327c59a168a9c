"""A gradient that the ranks of a machine compute together: the product of all their rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_ELSEWHERE = -1.0


class JointProduct:
    """The rows of all ranks of a machine, of which a kernel's gradient is the product: ``inputs.T @ deltas``.

    Each rank writes its own rows to memory that all of them share. Instead of a product of its rows as large as the
    kernel, which the others would have to read and add, each then computes some rows of the product over the rows of
    all. The first rows of all ranks lie side by side, then the second ones, so that those that are filled are one
    stretch; what a rank has not of them, is zeros.

    Args:
        inputs: ``(most rows of a rank, ranks, inputs)``, in shared memory, of zeros.
        deltas: ``(most rows of a rank, ranks, units)``, likewise: the gradient by what the kernel gives.
        counts: for each rank one number, in shared memory: how many rows it has, or that its gradient lies in its
            buffer after all.
        rank: this one's number on its machine.
    """

    def __init__(
        self, inputs: np.ndarray, deltas: np.ndarray, counts: Sequence[np.ndarray], rank: int
    ) -> None:
        self._inputs, self._deltas = inputs[:, rank], deltas[:, rank]
        self._all_inputs = inputs.reshape(-1, inputs.shape[-1])
        self._all_deltas = deltas.reshape(-1, deltas.shape[-1])
        self._counts, self._own_count = counts, counts[rank]
        self._filled = 0  # rows that may be other than zeros

    @property
    def most_rows(self) -> int:
        """How many rows of a rank there is room for."""
        return len(self._inputs)

    def take(self, inputs: np.ndarray, deltas: np.ndarray) -> bool:
        """Take this rank's rows, and say whether there is room for them.

        Raises:
            ValueError: if these are no rows of a product.

        Ranks: local, before an agreement behind which others read them.
        """
        rows = len(inputs)
        if deltas.shape != (rows, self._deltas.shape[1]):
            raise ValueError(
                f"the gradient by the output of {rows} rows has shape {(rows, self._deltas.shape[1])}."
                f" Received: {deltas.shape}"
            )
        if rows > self.most_rows:
            self.leave()
            return False
        self._filled = max(self._filled, rows)
        self._inputs[:rows] = inputs
        self._deltas[:rows] = deltas
        self._keep(rows)
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
        self._keep(0)
        self._own_count[...] = _ELSEWHERE

    def clear(self) -> None:
        """Have no rows.

        Ranks: local.
        """
        self._keep(0)

    def _keep(self, rows: int) -> None:
        self._inputs[rows : self._filled] = 0
        self._deltas[rows : self._filled] = 0
        self._own_count[...] = self._filled = rows

    def are_elsewhere(self) -> list[int]:
        """Return the ranks whose gradient lies in their buffers."""
        return [rank for rank, count in enumerate(self._counts) if count[0] == _ELSEWHERE]

    def multiply(self, place: slice, out: np.ndarray | None = None) -> np.ndarray:
        """Return some rows of the kernel's gradient, over the rows of all ranks, in `out` if it is given.

        Ranks: local, behind an agreement before which all have written theirs.
        """
        filled = max(0, *(int(count[0]) for count in self._counts)) * len(self._counts)
        with np.errstate(over="ignore", invalid="ignore"):  # of rows that nobody needs, since a step failed
            product: np.ndarray = np.matmul(
                self._all_inputs[:filled, place].T, self._all_deltas[:filled], out=out
            )
        return product
