"""The engine of PyTorch modules."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

try:
    import torch
    from torch import nn
except ImportError as error:
    raise ImportError("TorchModel needs PyTorch: pip install 'distfit-mpi[torch]'") from error

import distfit.engines.torch_data  # noqa: F401 - lets `fit` take data sets and loaders of torch
from distfit import losses, optimizers
from distfit.engines.engine import ComputeLoss, Engine
from distfit.engines.torch_device import as_array, as_tensor, choose_device, seed_torch
from distfit.engines.torch_layers import GlobalBatchNorm, Pass, exchange
from distfit.engines.torch_losses import TorchLoss, loss_value
from distfit.engines.torch_optimizer import TorchOptimizer
from distfit.engines.torch_weights import Weights
from distfit.engines.updater import Updater
from distfit.engines.values import Evaluated, LossValue, Step, Variable
from distfit.losses import Loss
from distfit.optimizers import Optimizer, Segment
from distfit.utils.nested import leaves, map_leaves

__all__ = ["TorchEngine", "loss_value"]


class TorchEngine(Engine):
    """Runs a module of PyTorch. Its parameters, buffers and gradients lie in the flat buffers, as views.

    Args:
        module: takes the inputs in the form in which `fit` got them: an array as one argument, a tuple as several, a
            dict by name. Returns a tensor, or a tuple, list or dict of them.
        device: ``"auto"``, or one of torch's names; see `choose_device`.
        invariant: whether layers whose output depends on which rows a rank has, `nn.BatchNorm` and `nn.Dropout`, are
            exchanged for ones that are the same on any number of ranks.
        output_shape: of one row of the output, where metrics with a value for each output need it.

    Raises:
        TypeError: if it is no module, or its parameters have several dtypes.
        ValueError: if this machine has more ranks than GPUs.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        device: str = "auto",
        invariant: bool = True,
        output_shape: tuple[int, ...] | None = None,
    ) -> None:
        if not isinstance(module, nn.Module):
            raise TypeError(f"a TorchModel is made of a torch.nn.Module. Received: {type(module).__name__}")
        self._run = module
        # What torch.compile returns runs the module that it has as a child, whose names are the user's.
        self.module = dict(module.named_children()).get("_orig_mod", module)
        self._pass = Pass()
        self._exchanged = exchange(self.module, self._pass, invariant=invariant)
        if self.module is not module:
            for layer in self._exchanged:  # they talk to other ranks, which is nothing to be compiled
                layer.forward = torch.compiler.disable(layer.forward)
        self._device = choose_device(device)
        self._weights = Weights(self.module, self._device)
        self._optimizer: Updater | None = None
        self._output_shape = output_shape
        # What gradients are divided by before the divisor is known: where the guess is right, a pass over all of them
        # is saved. It is a power of two, so that not one bit depends on it.
        self._divided = self._guess = 1.0
        # Their averages are equal on all ranks already.
        self._in_step = {layer for layer in self._exchanged if isinstance(layer, GlobalBatchNorm)}

    tells_of_gradients = True

    # -- the weights --------------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> np.ndarray:
        return self._weights.flat()

    @property
    def gradients(self) -> np.ndarray:
        return self._weights.flatten()

    @property
    def variables(self) -> list[Variable]:
        return self._weights.variables()

    @property
    def replicated(self) -> dict[str, np.ndarray]:
        return self._weights.replicated()

    @property
    def version(self) -> int:
        return self._weights.version

    @property
    def output_shape(self) -> Any:
        return self._output_shape

    def describe(self) -> str:
        names = [layer._get_name() for layer in self._exchanged]
        return "; ".join(
            [
                *(
                    f"{name} {tuple(tensor.shape)} {tensor.dtype}{'' if tensor.requires_grad else ' frozen'}"
                    for name, tensor in self.module.state_dict(keep_vars=True).items()
                ),
                f"exchanged: {', '.join(names)}",
            ]
        )

    # -- what compile is given ----------------------------------------------------------------------------------------

    def read_optimizer(self, identifier: Any) -> Updater:
        """Return one of distfit's, by name or object, or one of torch's: see `TorchOptimizer`."""
        if isinstance(identifier, (str, Optimizer)) or (
            isinstance(identifier, type) and issubclass(identifier, Optimizer)
        ):
            return optimizers.get(identifier)
        if isinstance(identifier, (torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler)) or callable(
            identifier
        ):
            return TorchOptimizer(identifier, self._weights)
        return optimizers.get(identifier)  # which says what an optimizer is

    def read_loss(self, identifier: Any) -> Any:
        """Return one of distfit's, by name or object, or one of torch's, or a function ``(y_pred, y) -> tensor``."""
        if isinstance(identifier, type) and issubclass(identifier, nn.Module):
            identifier = identifier()
        if isinstance(identifier, (str, Loss, type)) or not callable(identifier):
            return losses.get(identifier)
        loss = TorchLoss(identifier)
        loss.to(self._device)
        return loss

    def loss_value(self, loss: Any, y: Any, y_pred: Any, sample_weight: Any) -> LossValue:
        if isinstance(loss, TorchLoss):
            return loss.value(y, y_pred, sample_weight)
        return super().loss_value(loss, *(map_leaves(as_array, part) for part in (y, y_pred, sample_weight)))

    def compile(self, optimizer: Updater | None) -> None:
        self._optimizer = optimizer
        if optimizer is None:
            return
        trained = [(n, p) for n, p in self.module.named_parameters() if p.requires_grad]
        segments = [Segment(name, *self._weights.place(parameter)) for name, parameter in trained]
        optimizer.build(self.parameters.size, self.parameters.dtype, segments)

    # -- a rank's rows ------------------------------------------------------------------------------------------------

    def begin_gradients(self) -> None:
        own_tensors = not self.gradients_are_sent and isinstance(self._optimizer, TorchOptimizer)
        self._weights.begin_gradients(in_buffer=not own_tensors)
        self._divided = self._guess

    def finish_gradients(self) -> None:
        self._weights.finish_gradients()

    def compute_gradients(
        self, x: Any, y: Any, sample_weight: Any, step: Step, loss: ComputeLoss
    ) -> Evaluated:
        if not self.module.training:
            self._run.train()
        seed_torch(step.seed, step.number, step.first_row, self._device)
        x, y, sample_weight = self._as_tensors(x, y, sample_weight)
        with self._pass.of(step), self._weights.own_writes(), torch.enable_grad():
            y_pred = self._forward(x)
            value = loss(x, y, y_pred, sample_weight)
            gradient = value.gradient()
            if step.begin_backward is not None:
                step.begin_backward()
            self._weights.final.begin(step.gradients_are_final)
            try:
                self._backward(y_pred, gradient)
            finally:
                self._weights.final.begin(None)  # other backward passes are the user's business
            self._share_state(
                step
            )  # not before backward, which may need what the forward pass has left there
        return Evaluated(map_leaves(as_array, y_pred), value.total, value.weight)

    def _forward(self, x: Any) -> Any:
        self._weights.to_device()
        self._state_before = self._weights.state_version(self._in_step)
        if isinstance(x, dict):
            return self._run(**x)
        return self._run(*x) if isinstance(x, (tuple, list)) else self._run(x)

    def _share_state(self, step: Step) -> None:
        """Let buffers that the pass has changed, such as running averages, be equal on all ranks: their mean by rows.

        Ranks: those with rows; the others join in `absorb_sums`. All of them run the same module, and so do all of
        them, or none.
        """
        if self._weights.state_version(self._in_step) != self._state_before:
            local = np.concatenate([[step.rows], step.rows * self._weights.state()])
            self.absorb_sums(len(self._exchanged), step.sum_over_batch(len(self._exchanged), local, False))

    def absorb_sums(self, layer: int, sums: np.ndarray) -> None:
        if layer == len(self._exchanged):
            self._weights.set_state(sums[1:] / sums[0])
            return
        with self._weights.own_writes():
            self._weights.to_device()
            self._exchanged[layer].absorb_sums(sums)

    def _backward(self, y_pred: Any, gradient: Any) -> None:
        outputs, gradients = [], []

        def collect(output: Any, by_output: Any) -> None:
            if by_output is not None and output.requires_grad:
                outputs.append(output)
                gradients.append(torch.as_tensor(by_output).to(output) / self._divided)

        map_leaves(collect, y_pred, gradient)
        if outputs:
            self._weights.gradients.device()
            torch.autograd.backward(outputs, gradients)

    def evaluate(self, x: Any, y: Any, sample_weight: Any, step: Step, loss: ComputeLoss) -> Evaluated:  # noqa: ARG002
        x, y, sample_weight = self._as_tensors(x, y, sample_weight)
        y_pred = self._infer(x)
        with torch.no_grad():
            value = loss(x, y, y_pred, sample_weight)
        return Evaluated(map_leaves(as_array, y_pred), value.total, value.weight)

    def predict(self, x: Any, step: Step) -> Any:  # noqa: ARG002
        x, _, _ = self._as_tensors(x, None, None)
        return map_leaves(as_array, self._infer(x))

    def _infer(self, x: Any) -> Any:
        """Run the module in its evaluation mode, and leave each of its parts in the mode in which it was."""
        modes = [(part, part.training) for part in self._run.modules() if part.training]
        self._run.eval()
        try:
            with self._weights.own_writes(), torch.no_grad():
                return self._forward(x)
        finally:
            for part, mode in modes:
                part.training = mode

    def _as_tensors(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        def convert(tree: Any, *, labels: bool = False) -> Any:
            return map_leaves(
                lambda leaf: as_tensor(leaf, self._weights.dtype, self._device, labels=labels), tree
            )

        return convert(x), convert(y, labels=True), convert(sample_weight)

    def traced(self, compute: Callable[[], Evaluated]) -> tuple[Evaluated, list[tuple[str, Any]]]:
        outputs: list[tuple[str, Any]] = []

        def note(name: str, output: Any) -> None:
            arrays = [as_array(leaf) for _, leaf in leaves(output)]
            outputs.extend((f"the output of {name}", array) for array in arrays if np.ndim(array))

        hooks = [
            part.register_forward_hook(lambda _part, _x, output, name=name: note(name, output))
            for name, part in self.module.named_modules()
            if not list(part.children())
        ]
        try:
            return compute(), outputs
        finally:
            for hook in hooks:
                hook.remove()

    # -- after the reduction ------------------------------------------------------------------------------------------

    def update(self, divisor: float) -> None:
        if self._optimizer is None:
            raise TypeError("the engine was compiled without an optimizer")
        divisor = self.finish_sum(divisor, [])
        if isinstance(self._optimizer, TorchOptimizer):
            self._optimizer.step(divisor)
        else:
            self._optimizer.apply(self.parameters, self.gradients, divisor)

    @property
    def common(self) -> int | None:
        return self._weights.common

    def move(self, parameters: np.ndarray, gradients: np.ndarray) -> None:
        self._weights.move(parameters, gradients)

    def finish_sum(self, divisor: float, places: Sequence[slice]) -> float:  # noqa: ARG002
        self._guess = 2.0 ** math.floor(math.log2(divisor))
        return divisor / self._divided
