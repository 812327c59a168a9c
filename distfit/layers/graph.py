"""How layers are connected: symbolic tensors, each of which knows the layer that makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distfit.layers.layer import Layer


@dataclass(eq=False, slots=True)
class Node:
    """One use of a layer.

    Attributes:
        layer: what computes it.
        inputs: where its input comes from.
        several: True where the layer takes a list, even of one.
    """

    layer: Layer
    inputs: list[Tensor]
    several: bool


@dataclass(eq=False, slots=True)
class Tensor:
    """What a layer will give: the shape of one row, and the node that makes it. None makes an input.

    Attributes:
        shape: of one row, without the batch.
        node: what makes it, or None for a model's input.
        name: of an input, by which a dict of arrays is matched.
        dtype: of an input, or None where any will do.
    """

    shape: tuple[int, ...]
    node: Node | None = None
    name: str | None = None
    dtype: str | None = None


def Input(  # noqa: N802 - Keras's name
    shape: tuple[int, ...], *, dtype: str | None = None, name: str | None = None
) -> Tensor:
    """Return a symbolic input of a model.

    Args:
        shape: of one row, without the batch.
        dtype: of the arrays that will be given. Defaults to any.
        name: by which `fit` finds it in a dict of arrays.

    Example:
        >>> from distfit import Model, layers
        >>> x = layers.Input((4,))
        >>> model = Model(x, layers.Dense(2)(x))
        >>> model.output_shape
        (2,)
    """
    return Tensor(tuple(shape), None, name, dtype)


def tensors_of(inputs: Any) -> list[Tensor]:
    """Return the tensors of a layer's or model's argument: one, a list, a tuple or a dict of them.

    Raises:
        TypeError: if something else is among them.
    """
    several = inputs.values() if isinstance(inputs, dict) else inputs
    tensors = list(several) if isinstance(inputs, (dict, list, tuple)) else [inputs]
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"layers are called on what layers.Input or another layer returned. Received: {type(tensor).__name__}."
                " To compute with arrays, call model.predict, or layer.forward(x, context)"
            )
    return tensors


def shapes_of(inputs: Any) -> Any:
    """Return the row shape of one tensor, or the list of those of several."""
    return inputs.shape if isinstance(inputs, Tensor) else [t.shape for t in tensors_of(inputs)]


def nodes_between(inputs: list[Tensor], outputs: list[Tensor]) -> list[Node]:
    """Return the nodes that lead from the inputs to the outputs, each after those that it needs.

    Raises:
        ValueError: if an output depends on an input that is not among `inputs`.
    """
    order: list[Node] = []
    done: set[int] = set()
    stack: list[tuple[Tensor, bool]] = [(t, False) for t in reversed(outputs)]
    while stack:
        tensor, visited = stack.pop()
        if tensor.node is None:
            if not any(tensor is known for known in inputs):
                raise ValueError(
                    f"an output depends on the input {tensor.name or 'without a name'} of shape {tensor.shape}, which"
                    " is not among the model's inputs: add it to Model(inputs=...)"
                )
        elif visited:
            order.append(tensor.node)
        elif id(tensor.node) not in done:
            done.add(id(tensor.node))
            stack.append((tensor, True))
            stack.extend((t, False) for t in reversed(tensor.node.inputs))
    return order
