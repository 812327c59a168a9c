"""The engine of NumPy layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from distfit import config
from distfit.engines.arena import Arena
from distfit.engines.engine import ComputeLoss, Engine
from distfit.engines.final_gradients import FinalGradients
from distfit.engines.graph import Graph
from distfit.engines.kernels import Kernel, kernels_of
from distfit.engines.layer_names import unique_names
from distfit.engines.updater import Updater
from distfit.engines.values import Evaluated, Step, Variable
from distfit.layers import Context, Tensor
from distfit.optimizers import Segment
from distfit.random import RowGenerator
from distfit.utils.nested import leaves


class NumpyEngine(Engine):
    """Runs a graph of layers on NumPy arrays.

    Args:
        inputs: the model's symbolic inputs.
        outputs: its outputs.
        seed: of the first weights.
        single: True where the model has one output, which is then no list.

    Attributes:
        graph: how the layers are connected.
        names: of the layers within this model; a layer may belong to several.
    """

    def __init__(
        self, inputs: list[Tensor], outputs: list[Tensor], seed: int, *, single: bool = True
    ) -> None:
        self.graph = Graph(inputs, outputs)
        self.single = single
        self._optimizer: Updater | None = None
        self._arena: Arena | None = None
        self._backward = False
        self.names = unique_names(self.graph.layers)
        self._parameters = [p for layer in self.graph.layers for p in layer.parameters]
        for number, parameter in enumerate(self._parameters):
            if not parameter.initialized:
                parameter.initialize(np.random.default_rng([seed, number]))
        self._parameters.sort(key=lambda parameter: not parameter.trainable)
        self._final = FinalGradients(self.graph, self._parameters)
        self._contexts = self._new_contexts()

    # -- the arenas -------------------------------------------------------------------------------------------------

    def _allocate(self) -> Arena:
        """Bind all parameters to one buffer, unless they are: a layer may have joined another model since."""
        if self._arena is not None and all(
            p.bound_to(view) for p, view in zip(self._parameters, self._arena.views, strict=True)
        ):
            return self._arena
        shapes = [p.shape for p in self._parameters]
        trained = sum(p.trainable for p in self._parameters)
        self._arena, self._gradient_arena = (Arena(shapes, config.floatx(), trained) for _ in range(2))
        for parameter, weight in zip(self._parameters, self._arena.views, strict=True):
            weight[...] = parameter.value
        self._bind()
        return self._arena

    def _bind(self) -> None:
        assert self._arena is not None  # noqa: S101 - it was allocated
        for parameter, weight, gradient in zip(
            self._parameters, self._arena.views, self._gradient_arena.views, strict=True
        ):
            parameter.bind(weight, gradient if parameter.trainable else None)

    tells_of_gradients = True
    runs_code_of_the_user = False  # layers get their weights as read-only views

    @property
    def reads_whole_weights(self) -> bool:
        return not all(p.regularizer is None or p.regularizer.is_elementwise for p, _ in self._regularized)

    @property
    def kernels(self) -> list[Kernel]:
        return kernels_of(self.graph, self._parameters, self._allocate().starts)

    @property
    def common(self) -> int | None:
        return self._allocate().common

    def move(self, parameters: np.ndarray, gradients: np.ndarray) -> None:
        self._allocate().move(parameters)
        self._gradient_arena.move(gradients)
        self._bind()

    @property
    def parameters(self) -> np.ndarray:
        return (self._arena or self._allocate()).buffer

    @property
    def gradients(self) -> np.ndarray:
        if self._arena is None:
            self._allocate()
        return self._gradient_arena.buffer

    @property
    def replicated(self) -> dict[str, np.ndarray]:
        # To be looked at and sent, weights may lie wherever the model has them that trains these layers.
        if self._arena is None:
            return {f"{self.names[o]}/{p.name}": p.flat() for o in self.graph.layers for p in o.parameters}
        return {"": self.parameters}

    @property
    def variables(self) -> list[Variable]:
        # No buffer is allocated for a look: layers that another model trains stay bound to that one's.
        starts = [] if self._arena is None else self._arena.starts
        places = {
            id(p): slice(start, start + p.value.size)
            for p, start in zip(self._parameters, starts, strict=False)
        }
        return [
            Variable(
                f"{self.names[layer]}/{p.name}",
                p.value,
                p.trainable and layer.trainable,
                p.assign,
                places.get(id(p)),
                is_state=not p.trainable,
            )
            for layer in self.graph.layers
            for p in sorted(layer.parameters, key=lambda p: not p.trainable)
        ]

    @property
    def version(self) -> int:
        return sum(p.version for p in self._parameters)

    @property
    def output_shape(self) -> Any:
        shapes = [tensor.shape for tensor in self.graph.outputs]
        return shapes[0] if self.single else shapes

    def compile(self, optimizer: Updater | None) -> None:
        arena = self._allocate()
        self.graph.plan()
        self._contexts = self._new_contexts()
        self._optimizer = optimizer
        if optimizer is not None:
            optimizer.build(arena.buffer.size, arena.buffer.dtype, self._segments(arena))

    def _segments(self, arena: Arena) -> list[Segment]:
        places = {
            id(p): place
            for p, place in zip(self._parameters, zip(arena.starts, arena.stops, strict=True), strict=True)
        }
        self._trained = [
            (layer, p)
            for layer in self.graph.layers
            if layer.trainable
            for p in layer.parameters
            if p.trainable
        ]
        self._regularized = [(p, places[id(p)][0]) for _, p in self._trained if p.regularizer is not None]
        # Gaps and all: neighbours are updated as one.
        return [Segment(f"{self.names[layer]}/{p.name}", *places[id(p)]) for layer, p in self._trained]

    # -- a rank's rows ----------------------------------------------------------------------------------------------

    def begin_gradients(self) -> None:
        self._allocate()  # before the first gradient is written: another model may have taken a shared layer over
        for parameter in self._parameters:
            parameter.begin_gradient()

    def finish_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.finish_gradient()

    def compute_gradients(
        self, x: Any, y: Any, sample_weight: Any, step: Step, loss: ComputeLoss
    ) -> Evaluated:
        outputs, tape = self._forward(x, step)
        y_pred = outputs[0] if self.single else outputs
        value = loss(x, y, y_pred, sample_weight)
        gradient = value.gradient()
        self._backward = True
        if step.begin_backward is not None:
            step.begin_backward()
        self._final.begin(self._allocate().starts, step.gradients_are_final)
        self.graph.backward([gradient] if self.single else gradient, tape, self._final.written)
        return Evaluated(y_pred, value.total, value.weight)

    def traced(self, compute: Callable[[], Evaluated]) -> tuple[Evaluated, list[tuple[str, Any]]]:
        passes: list[list[Any]] = []
        self.graph.record = passes
        try:
            evaluated = compute()
        finally:
            self.graph.record = None
        return evaluated, [
            (f"the output of layer {self.names[call.layer]}", slots[call.output])
            for slots in passes
            for call in self.graph.calls
        ]

    def predict(self, x: Any, step: Step) -> Any:
        outputs, _ = self._forward(x, step)
        return outputs[0] if self.single else outputs

    def _forward(self, x: Any, step: Step) -> tuple[list[np.ndarray], list[Any]]:
        self._step, self._backward = step, False
        for number, context in enumerate(self._contexts):
            context.training = step.training
            context.rng_rows = RowGenerator(step.seed, number, step.number, step.first_row, step.rows)
        return self.graph.forward(self._check(x), self._contexts)

    def _new_contexts(self) -> list[Context]:
        """Return a context for each call, to be used again in each step."""
        contexts = self.graph.contexts()
        for number, context in enumerate(contexts):
            context.sum_over_batch = partial(self._sum, number)
            if vars(type(self.graph.calls[number].layer)).get("tells_of_gradients"):
                context.gradients_are_written = partial(self._final.written, number)
        return contexts

    def _sum(self, number: int, array: np.ndarray) -> np.ndarray:
        flat = np.ascontiguousarray(array, np.float64).reshape(-1)
        return self._step.sum_over_batch(number, flat, self._backward).reshape(np.shape(array))

    def _check(self, x: Any) -> list[np.ndarray]:
        inputs = self.graph.inputs
        if isinstance(x, dict):
            names = [t.name or f"input_{i}" for i, t in enumerate(inputs)]
            missing = [name for name in names if name not in x]
            if missing:
                raise ValueError(f"the model's inputs are {names}. Missing: {missing}. Received: {sorted(x)}")
            arrays = [x[name] for name in names]
        else:
            arrays = [array for _, array in leaves(x)]
        if len(arrays) != len(inputs):
            raise ValueError(f"the model takes {len(inputs)} inputs. Received: {len(arrays)} arrays")
        for tensor, array in zip(inputs, arrays, strict=True):
            if array.shape[1:] != tensor.shape:
                name = f" {tensor.name}" if tensor.name else ""
                raise ValueError(
                    f"the model's input{name} takes rows of shape {tensor.shape}."
                    f" Received: rows of shape {array.shape[1:]} (an array of shape {array.shape})"
                )
        return arrays

    # -- after the reduction ----------------------------------------------------------------------------------------

    def penalty(self) -> float:
        return sum(p.regularizer.penalty(p.value) for p, _ in self._regularized if p.regularizer is not None)

    def update(self, divisor: float) -> None:
        if self._optimizer is None:
            raise TypeError("the engine was compiled without an optimizer")
        everything = slice(0, self.gradients.size)
        self._optimizer.apply(self.parameters, self.gradients, self.finish_sum(divisor, [everything]))

    def finish_sum(self, divisor: float, places: Sequence[slice]) -> float:
        for parameter, start in self._regularized:
            for place in places:
                first, last = (max(bound - start, 0) for bound in (place.start, place.stop))
                parameter.add_penalty_gradient(divisor, slice(first, last))
        return divisor

    def absorb_sums(self, layer: int, sums: np.ndarray) -> None:
        self.graph.calls[layer].layer.absorb_sums(sums)

    def describe(self) -> str:
        return "; ".join(
            f"{v.name} {v.value.shape} {v.value.dtype}{'' if v.trainable else ' frozen'}"
            for v in self.variables
        )

    def rows_of_summary(self) -> list[tuple[str, str, int, int]]:
        shapes = {call.layer: self.graph.shape_of(call) for call in self.graph.calls}
        rows = []
        for layer in self.graph.layers:
            sizes = [(p.value.size, p.trainable and layer.trainable) for p in layer.parameters]
            rows.append(
                (
                    f"{self.names[layer]} ({type(layer).__name__})",
                    str(("batch", *shapes[layer])).replace("'", ""),
                    sum(size for size, _ in sizes),
                    sum(size for size, trained in sizes if trained),
                )
            )
        return rows
