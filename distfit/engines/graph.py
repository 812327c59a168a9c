"""The order in which a model's layers run, and where each finds its input: worked out once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from distfit.layers import Context, Layer, Tensor
from distfit.layers.graph import nodes_between
from distfit.random import RowGenerator


@dataclass(slots=True)
class Call:
    """One use of a layer.

    Attributes:
        layer: what is computed.
        inputs: the slots of its inputs.
        output: the slot of its output.
        several: True where the layer takes a list.
        differentiated: False where neither the layer nor anything before it is trained.
        needs_input_gradient: whether something before the layer is trained.
        trained: for each input, whether it is something before that is trained.
    """

    layer: Layer
    inputs: list[int]
    output: int
    several: bool
    differentiated: bool
    needs_input_gradient: bool
    trained: list[bool]

    def forward(self, given: list[np.ndarray], context: Context) -> tuple[np.ndarray, Used]:
        """Run the layer, and return its output and what its backward pass needs.

        Raises:
            TypeError: if the layer returns something else.
        """
        made = self.layer.forward(given if self.several else given[0], context)
        if not isinstance(made, (tuple, list)) or len(made) != 2:
            raise TypeError(
                f"forward of the layer {self.layer.name!r} returns its output and a function backward(dy)."
                f" Received: {type(made).__name__}"
            )
        if not self.needs_input_gradient:
            return made[0], Used(made[1], [])
        # Whole numbers have no gradient.
        wanted = [
            array.shape if is_trained and array.dtype.kind == "f" else None
            for array, is_trained in zip(given, self.trained, strict=True)
        ]
        return made[0], Used(made[1], wanted)

    def taken_apart(self, dx: Any, wanted: list[tuple[int, ...] | None]) -> list[Any]:
        """Return the gradients by the layer's inputs, of what its backward returned.

        Args:
            dx: that.
            wanted: the shapes of those that something before learns from.

        Raises:
            TypeError: if one of these is missing, or of another shape.
        """
        parts = [dx] if not self.several else [None] * len(wanted) if dx is None else list(dx)
        if len(parts) != len(wanted) or any(
            shape is not None and (part is None or np.shape(part) != shape)
            for part, shape in zip(parts, wanted, strict=True)
        ):
            received = ", ".join("None" if part is None else str(np.shape(part)) for part in parts)
            raise TypeError(
                f"backward of the layer {self.layer.name!r} returns the gradient of the loss by the layer's input, of"
                f" shape {', '.join(map(str, wanted))}. Received: {received}"
            )
        return parts


@dataclass(slots=True)
class Used:
    """What a call has left for its backward pass.

    Attributes:
        backward: the layer's.
        wanted: the shape of each input that something before learns from; None for others.
    """

    backward: Any
    wanted: list[tuple[int, ...] | None]


class Graph:
    """A model's layers as a list of calls on numbered slots.

    Args:
        inputs: the model's symbolic inputs.
        outputs: its outputs.

    Attributes:
        record: gets the arrays of all slots of each forward pass, where somebody wants to see them; None otherwise.
    """

    def __init__(self, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.record: list[list[Any]] | None = None
        self._nodes = nodes_between(inputs, outputs)
        self.layers = list(dict.fromkeys(node.layer for node in self._nodes))
        self.plan()

    def plan(self) -> None:
        """Work out what each layer needs; again after a layer's `trainable` has changed."""
        slots = {id(tensor): i for i, tensor in enumerate(self.inputs)}
        made_by = {id(node): len(self.inputs) + i for i, node in enumerate(self._nodes)}
        trained = [False] * (len(self.inputs) + len(self._nodes))

        def slot(tensor: Tensor) -> int:
            return slots[id(tensor)] if tensor.node is None else made_by[id(tensor.node)]

        self.calls: list[Call] = []
        for node in self._nodes:
            sources = [slot(tensor) for tensor in node.inputs]
            before = any(trained[source] for source in sources)
            own = node.layer.trainable and any(p.trainable for p in node.layer.parameters)
            output = made_by[id(node)]
            trained[output] = before or own
            learning = [trained[source] for source in sources]
            self.calls.append(
                Call(node.layer, sources, output, node.several, before or own, before, learning)
            )
        self.output_slots = [slot(tensor) for tensor in self.outputs]

    def forward(
        self, arrays: list[np.ndarray], contexts: list[Context]
    ) -> tuple[list[np.ndarray], list[Any]]:
        """Run all layers.

        Args:
            arrays: one for each input, ``(rows, *shape)``.
            contexts: one for each call.

        Returns:
            The outputs, and what the calls have left for `backward`.
        """
        slots: list[Any] = arrays + [None] * len(self.calls)
        if self.record is not None:
            self.record.append(slots)
        tape = []
        for call, context in zip(self.calls, contexts, strict=True):
            slots[call.output], used = call.forward([slots[i] for i in call.inputs], context)
            tape.append(used)
        return [slots[i] for i in self.output_slots], tape

    def backward(self, gradients: list[np.ndarray], tape: list[Any], done: Callable[[int], None]) -> None:
        """Run all layers' backward functions, which write the weights' gradients.

        Args:
            gradients: of the loss by each output.
            tape: what `forward` returned.
            done: is told the number of each call that is behind it, the last first.
        """
        by_slot: dict[int, np.ndarray] = {}
        for slot, gradient in zip(self.output_slots, gradients, strict=True):
            by_slot[slot] = by_slot[slot] + gradient if slot in by_slot else gradient
        for number in range(len(tape) - 1, -1, -1):
            call, used = self.calls[number], tape[number]
            tape[number] = None  # what the layer kept for its backward is free from here on
            dy = by_slot.pop(call.output, None)
            if dy is None or not call.differentiated:
                continue
            dx = used.backward(dy)
            if call.needs_input_gradient:
                for slot, part in zip(call.inputs, call.taken_apart(dx, used.wanted), strict=True):
                    if part is None:
                        continue
                    by_slot[slot] = by_slot[slot] + part if slot in by_slot else part
            done(number)

    def shape_of(self, call: Call) -> tuple[int, ...]:
        """Return the shape of one row of a call's output."""
        node = self._nodes[call.output - len(self.inputs)]
        shapes = [tensor.shape for tensor in node.inputs]
        return node.layer.output_shape(shapes if call.several else shapes[0])

    def contexts(self) -> list[Context]:
        """Return a context for each call, to be used again in each step."""
        nobody = RowGenerator(0, 0, 0, 0, 0)
        return [
            Context(training=False, rng_rows=nobody, needs_input_gradient=call.needs_input_gradient)
            for call in self.calls
        ]
