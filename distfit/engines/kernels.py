"""Weights whose gradients are products of rows, which the ranks of a machine may compute together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from distfit.engines.graph import Graph
from distfit.layers import Parameter

_SMALLEST = 16_384  # elements: of smaller ones the calls cost more than the memory that they move


@dataclass(frozen=True, slots=True)
class Kernel:
    """A weight, ``(inputs, units)``, of a layer that is called once.

    Attributes:
        start: its first element in the buffer.
        parameter: the weight.
    """

    start: int
    parameter: Parameter

    def most_rows(self, ranks: int) -> int:
        """Return with how many rows each the ranks of a machine had better compute the gradient together.

        Each of them reads the gradients by the outputs of all their rows, and its part of the inputs. Alone it would
        write a gradient, as many numbers as the weight has, and read its part of those of the others.
        """
        inputs, units = self.parameter.shape
        return inputs * units // (ranks * units + inputs) if inputs * units >= _SMALLEST else 0

    def rows(self, ranks: int) -> int:
        """Return how many rows this rank had last; 0 where they are too many to be worth it."""
        return self.parameter.rows if self.parameter.rows <= self.most_rows(ranks) else 0

    @property
    def room(self) -> int:
        """For how many rows of each rank there is room."""
        return 0 if self.parameter.joint is None else self.parameter.joint.most_rows


def kernels_of(graph: Graph, parameters: Sequence[Parameter], starts: Sequence[int]) -> list[Kernel]:
    """Return those of a graph, in the buffer's order.

    Args:
        graph: of layers.
        parameters: all of them.
        starts: where in the buffer each begins.
    """
    calls = Counter(call.layer for call in graph.calls)
    owners = {id(parameter): layer for layer in graph.layers for parameter in layer.parameters}
    return [
        Kernel(start, parameter)
        for parameter, start in zip(parameters, starts, strict=True)
        if parameter.is_product and owners[id(parameter)].trainable and calls[owners[id(parameter)]] == 1
    ]
