"""One rank's rows of a global batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from distfit.utils.nested import leaves


class Batch(tuple[Any, ...]):  # noqa: SLOT001 - a tuple may have no slots of its own
    """One rank's rows of a global batch: ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)``, and where they belong.

    It unpacks as the tuple that Keras's `train_step` gets: ``x, y = data``.

    Attributes:
        rows: how many rows this rank has; 0 is as good as any other number.
        first_row: the place of the first of them within the global batch.
        place: a number that orders this batch's rows among those of all ranks and batches of a pass.
        has_next: whether this rank sees another batch behind this one.
        numbers: of the rows in the data set, int64; None where rows have no numbers, as in a stream.
    """

    rows: int
    first_row: int
    place: int
    has_next: bool
    numbers: np.ndarray | None

    def __new__(
        cls,
        data: tuple[Any, ...],
        *,
        rows: int,
        first_row: int,
        place: int = 0,
        has_next: bool = False,
        numbers: np.ndarray | None = None,
    ) -> Batch:
        batch = super().__new__(cls, data)
        batch.rows = rows
        batch.first_row = first_row
        batch.place = place
        batch.has_next = has_next
        batch.numbers = numbers
        return batch

    @classmethod
    def of(cls, data: Any, rank: int, fetched: Batch | None = None) -> Batch:
        """Return what a user gave as this rank's rows: an array, or a tuple ``(x, y[, sample_weight])``.

        Their places are those of the batch that was fetched, where there is one. Otherwise they are not known: ranks'
        rows are kept apart, in rank order, so that their random numbers differ.

        Args:
            data: this rank's rows.
            rank: this rank.
            fetched: what the rows were made of, where an override of `train_step` gives other ones.

        Raises:
            ValueError: if x and y have different numbers of rows.
        """
        if isinstance(data, cls):
            return data
        parts = tuple(data) if isinstance(data, (tuple, list)) else (data,)
        lengths = {len(leaf) for _, leaf in leaves(parts)}
        if len(lengths) != 1:
            raise ValueError(
                "x, y and sample_weight need equal numbers of rows. Received: "
                + ", ".join(f"{np.shape(leaf)}" for _, leaf in leaves(parts))
            )
        if fetched is None:
            return cls(parts, rows=lengths.pop(), first_row=rank << 32, place=rank << 32)
        return cls(
            parts,
            rows=lengths.pop(),
            first_row=fetched.first_row,
            place=fetched.place,
            has_next=fetched.has_next,
        )


def unpack(batch: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """Return x, y and sample_weight, with None for what is not there."""
    x, y, sample_weight = (*batch, None, None)[:3]
    return x, y, sample_weight
