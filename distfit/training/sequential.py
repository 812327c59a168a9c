"""A model whose layers form a chain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from distfit.comm import Communicator
from distfit.layers import Input, Layer, Tensor
from distfit.training.model import Model


class Sequential(Model):
    """A model whose layers form a chain.

    Args:
        layers: in order; the first may be a `layers.Input`. Without an input shape the weights are made when `fit`,
            `evaluate` or `predict` is given arrays; an iterable does not tell its shape beforehand.
        comm: the ranks that train it together. Defaults to all ranks of the job.
        name: in summaries.

    Example:
        >>> from distfit import Sequential, layers
        >>> model = Sequential([layers.Dense(8, activation="relu", input_shape=(4,)), layers.Dense(2)])
        >>> model.output_shape
        (2,)
    """

    def __init__(
        self, layers: Iterable[Any] = (), *, comm: Communicator | None = None, name: str | None = None
    ) -> None:
        super().__init__(comm=comm, name=name)
        self._chain: list[Layer] = []
        self._input: Tensor | None = None
        for layer in layers:
            self._append(layer)
        self._connect()

    def add(self, layer: Any) -> None:
        """Add a layer at the end."""
        self._append(layer)
        self._connect()

    def _append(self, layer: Any) -> None:
        if isinstance(layer, Tensor):
            if self._chain or self._input is not None:
                raise ValueError("an Input stands first in a Sequential")
            self._input = layer
        elif isinstance(layer, Layer):
            self._chain.append(layer)
        else:
            raise TypeError(f"a Sequential is made of layers. Received: {type(layer).__name__}")

    def _connect(self) -> None:
        if self._input is None and self._chain and self._chain[0].input_shape is not None:
            self._input = Input(self._chain[0].input_shape)
        if self._input is None or not self._chain:
            return
        tensor = self._input
        for layer in self._chain:
            tensor = layer(tensor)
        self._set_graph(self._input, tensor)
        if self._compiled is not None:
            self.engine.compile(self._compiled.optimizer)

    def build(self, row_shapes: list[tuple[int, ...]]) -> None:
        """Make the layers' weights for an input of this row shape.

        Raises:
            ValueError: for several inputs, or a Sequential without layers.
        """
        if not self._chain:
            raise ValueError("the Sequential has no layers: add some")
        if len(row_shapes) != 1:
            raise ValueError(
                f"a Sequential takes one input. Received: {len(row_shapes)}. See Model(inputs, outputs)"
            )
        self._input = Input(row_shapes[0])
        self._connect()

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order."""
        return list(self._chain)
