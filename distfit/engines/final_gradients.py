"""Which gradients of a graph of layers are final, while its backward pass runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from distfit.engines.graph import Graph
from distfit.layers import Parameter


class FinalGradients:
    """Tells from where on the gradients in the buffer are final, when a call of the graph has written its own.

    Args:
        graph: of layers, of which backward goes from the last call to the first; a layer may be called several times.
        parameters: all of them, in the buffer's order; those that are trained lie before state.
    """

    def __init__(self, graph: Graph, parameters: Sequence[Parameter]) -> None:
        first_call: dict[int, int] = {}
        for number, call in reversed(list(enumerate(graph.calls))):
            first_call.update((id(parameter), number) for parameter in call.layer.parameters)
        self._trained = [parameter for parameter in parameters if parameter.trainable]
        # For each call, how many parameters lie before those that are final behind it.
        self._before: list[int] = []
        for number in range(len(graph.calls)):
            before = len(self._trained)
            while before > 0 and first_call[id(self._trained[before - 1])] >= number:
                before -= 1
            self._before.append(before)
        self._tell: Callable[[int], None] | None = None

    def begin(self, starts: Sequence[int], tell: Callable[[int], None] | None) -> None:
        """Begin a backward pass.

        Args:
            starts: where in the buffer each parameter begins.
            tell: is told the first element of those that are final; None where nobody asks.
        """
        self._starts, self._tell = starts, tell
        self._told = len(self._trained)

    def written(self, number: int) -> None:
        """Be told that a call has written the gradients of its weights, as have all behind it that have any."""
        if self._tell is None or self._before[number] == len(self._trained):
            return
        while self._told > self._before[number]:
            self._told -= 1
            self._trained[self._told].finish_gradient()  # zeros, where backward had nothing to write
        self._tell(self._starts[self._told])
