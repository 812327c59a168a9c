"""A vector for each integer."""

from typing import Any

import numpy as np

from distfit.layers.context import Context
from distfit.layers.layer import Backward, Layer, Shape


class Embedding(Layer):
    """Row i of a trained table, for each integer i of the input.

    Args:
        input_dim: how many integers there are: 0 to ``input_dim - 1``.
        output_dim: the length of a vector.
        embeddings_initializer: draws the table, ``(input_dim, output_dim)``.
        embeddings_regularizer: penalty on the table, see `distfit.layers.regularizers`.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Raises:
        ValueError: if a size is not positive, or an input lies outside the table.

    Example:
        >>> from distfit import layers
        >>> layers.Embedding(1000, 16)(layers.Input((20,))).shape
        (20, 16)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if input_dim <= 0 or output_dim <= 0:
            raise ValueError(
                f"the table of Embedding has positive sizes. "
                f"Received: input_dim={input_dim}, output_dim={output_dim}"
            )
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.embeddings_initializer = embeddings_initializer
        self.embeddings_regularizer = embeddings_regularizer

    def build(self, input_shape: Shape) -> None:  # noqa: ARG002
        """Make the table."""
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            "embeddings",
            regularizer=self.embeddings_regularizer,
        )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape with a vector for each number."""
        return (*input_shape, self.output_dim)

    def forward(self, x: np.ndarray, context: Context) -> tuple[np.ndarray, Backward]:  # noqa: ARG002
        """Look the vectors up. Integers have no gradient: the backward returns None."""
        indices = np.asarray(x).astype(np.intp)
        self._check(indices)
        y = np.take(self.embeddings.value, indices, axis=0)

        def backward(dy: np.ndarray) -> None:
            if self.trainable:
                with self.embeddings.gradient() as out:
                    add_rows(out, indices.ravel(), dy.reshape(-1, self.output_dim))

        return y, backward

    def _check(self, indices: np.ndarray) -> None:
        outside = (indices < 0) | (indices >= self.input_dim)
        if outside.any():
            raise ValueError(
                f"layer {self.name!r} has vectors for 0 to {self.input_dim - 1}. "
                f"Received: the index {indices[outside][0]}; raise input_dim, or map rare words to one number"
            )


def add_rows(out: np.ndarray, indices: np.ndarray, rows: np.ndarray) -> None:
    """Set `out` to zeros, and add each row at its index; many times faster than ``np.add.at``.

    Args:
        out: ``(size, length)``.
        indices: ``(n,)``, each in ``[0, size)``.
        rows: ``(n, length)``.
    """
    out[...] = 0
    order = np.argsort(indices, kind="stable")
    present, first = np.unique(indices[order], return_index=True)
    out[present] = np.add.reduceat(rows[order], first, axis=0)
