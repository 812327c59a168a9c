"""A module's weights in flat buffers: what ranks send and optimizers change, and the module's own tensors, are one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from distfit.engines.torch_final import FinalParameters
from distfit.engines.torch_staged import Staged
from distfit.engines.values import Variable

_OF_WEIGHTS = (torch.float32, torch.float64)


class Weights:
    """A module's parameters and buffers, bound to flat buffers; and the parameters' gradients.

    The tensors stay the objects that they were, so that an optimizer which was made of them holds the same: only
    their memory is another.

    Args:
        module: whose they are. It is moved to the device.
        device: where it computes.

    Attributes:
        final: tells which gradients are final.

    Raises:
        TypeError: if its parameters are not all float32, or all float64.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        module.to(device)
        self.module = module
        self.parameters = list(module.parameters())
        self.dtype = _common_dtype(module)
        tensors = list(dict.fromkeys([*self.parameters, *module.buffers()]))
        self._by_dtype: dict[str, Staged] = {}
        self._places: dict[torch.Tensor, tuple[str, slice]] = {}
        self._views: dict[torch.Tensor, torch.Tensor] = {}
        for dtype in dict.fromkeys([self.dtype, *(tensor.dtype for tensor in tensors)]):
            of_dtype = [tensor for tensor in tensors if tensor.dtype == dtype]
            trained = sum(isinstance(tensor, nn.Parameter) for tensor in of_dtype)
            staged = Staged([tuple(tensor.shape) for tensor in of_dtype], dtype, device, trained)
            name = "" if dtype == self.dtype else f"buffers of {dtype}"
            self._by_dtype[name] = staged
            staged.device()
            for tensor, view, start in zip(of_dtype, staged.views, staged.arena.starts, strict=True):
                view.copy_(tensor.detach())
                tensor.data = view
                self._views[tensor] = view
                self._places[tensor] = name, slice(start, start + view.numel())
        shapes = [tuple(tensor.shape) for tensor in tensors if tensor.dtype == self.dtype]
        self.gradients = Staged(shapes, self.dtype, device, len(self.parameters))
        self._of_gradients = dict(zip(self.parameters, self.gradients.views, strict=False))
        self.final = FinalParameters(self.parameters, self.gradients)
        self._written: set[torch.Tensor] = set()
        self._in_buffer = True
        self._hooked: set[torch.Tensor] = set()
        self._buffers = [
            (owner, name, tensor)
            for owner in module.modules()
            for name, tensor in owner.named_buffers(recurse=False)
        ]
        self._own_writes = 0

    # -- as the engine sees them --------------------------------------------------------------------------------------

    def flat(self) -> np.ndarray:
        """Return the buffer of all weights of the module's dtype, on the host."""
        return self._by_dtype[""].host()

    def replicated(self) -> dict[str, np.ndarray]:
        """Return the buffers of all dtypes, on the host."""
        return {name: staged.host() for name, staged in self._by_dtype.items() if staged.arena.buffer.size}

    def number(self, parameter: torch.Tensor) -> int:
        """Return the number of a parameter among the parts of the buffer."""
        return self._by_dtype[""].arena.starts.index(self._places[parameter][1].start)

    def place(self, parameter: torch.Tensor) -> tuple[int, int]:
        """Return where a parameter begins in the buffer, and where the gap behind it ends."""
        arena, number = self._by_dtype[""].arena, self.number(parameter)
        return arena.starts[number], arena.stops[number]

    def like(self, device: torch.device) -> Staged:
        """Return another buffer that is laid out as that of the weights, of zeros."""
        shapes: list[tuple[int, ...]] = [tuple(view.shape) for view in self._by_dtype[""].arena.views]
        return Staged(shapes, self.dtype, device, len(self.parameters))

    @property
    def common(self) -> int | None:
        """How many elements of `flat` are parameters; None where the module computes elsewhere than on the host."""
        weights = self._by_dtype[""]
        return weights.arena.common if weights.is_shared else None

    def move(self, parameters: np.ndarray, gradients: np.ndarray) -> None:
        """Lie in other buffers from here on, which hold the same already. The tensors stay the objects they are."""
        self.to_device()  # raises if another model has taken them
        weights = self._by_dtype[""]
        weights.move(parameters)
        self.gradients.move(gradients)
        tensors = [tensor for tensor, (buffer, _) in self._places.items() if not buffer]
        with self.own_writes():
            for tensor, view in zip(tensors, weights.views, strict=True):
                tensor.data = self._views[tensor] = view
        self._of_gradients = dict(zip(self.parameters, self.gradients.views, strict=False))

    def to_device(self) -> None:
        """Let the module see what was written on the host.

        Raises:
            RuntimeError: if the module's parameters lie elsewhere by now.
        """
        if not all(map(self._is_bound, self.parameters[:1])):
            raise RuntimeError(
                "the module's parameters no longer lie where this model put them: the module was given to another"
                " TorchModel since, or moved. Use that model, or make another one of the module"
            )
        for staged in self._by_dtype.values():
            staged.device()

    def variables(self) -> list[Variable]:
        """Return all that the module's `state_dict` names, under its names."""
        arrays = self.replicated()
        variables = []
        for name, tensor in self.module.state_dict(keep_vars=True).items():
            if not isinstance(tensor, torch.Tensor):
                raise TypeError(
                    f"{name} of the module's state_dict is a {type(tensor).__name__}, but only tensors are kept equal"
                    " on all ranks: make it a buffer, or leave get_extra_state out"
                )
            buffer, place = self._places[tensor]
            value = arrays[buffer][place].reshape(tuple(tensor.shape)).view()
            value.flags.writeable = False
            is_state = not isinstance(tensor, nn.Parameter)
            assign = partial(self._assign, name, tensor)
            variables.append(Variable(name, value, tensor.requires_grad, assign, place, buffer, is_state))
        return variables

    def _assign(self, name: str, tensor: torch.Tensor, value: Any) -> None:
        array = torch.as_tensor(np.array(value))
        if array.shape != tensor.shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}. Received: an array of shape {tuple(array.shape)}"
            )
        self.to_device()
        with torch.no_grad():
            tensor.copy_(array)

    # -- gradients ----------------------------------------------------------------------------------------------------

    def begin_gradients(self, *, in_buffer: bool) -> None:
        """Forget the gradients: the next that backward gives for a parameter replaces what lies in the buffer.

        Args:
            in_buffer: whether they are wanted there. Else they stay the tensors that backward makes, until `flatten`.
        """
        self._in_buffer = in_buffer
        self._written.clear()
        for parameter in self.parameters:
            parameter.grad = None
            if parameter.requires_grad and parameter not in self._hooked:  # it may have been frozen until now
                parameter.register_post_accumulate_grad_hook(self._take_gradient)
                self._hooked.add(parameter)

    def _take_gradient(self, parameter: torch.Tensor) -> None:
        """Move a gradient to where it is sent from, as soon as backward has it: it is still in the cache then.

        Backward could add to the buffer itself, if that were the parameter's `grad`; but it would have to be zeroed
        first, and the sum be read and written again.
        """
        if not self._in_buffer or not self._is_bound(parameter):  # it is another model's by now
            return
        self.final.check(parameter)
        view = self._of_gradients[parameter]
        if parameter in self._written:
            view.add_(parameter.grad)
        else:
            view.copy_(parameter.grad)
            self._written.add(parameter)
        parameter.grad = None
        self.final.given(parameter)

    def _is_bound(self, parameter: torch.Tensor) -> bool:
        return bool(parameter.data_ptr() == self._views[parameter].data_ptr())

    def finish_gradients(self) -> None:
        """Zero the gradients that backward did not give, as on a rank without rows; let an optimizer see them all."""
        self.gradients.device()
        for parameter, view in self._of_gradients.items():
            if parameter not in self._written and (self._in_buffer or parameter.grad is None):
                view.zero_()
                self._written.add(parameter)
            if parameter in self._written:
                parameter.grad = view if parameter.requires_grad else None

    def flatten(self) -> np.ndarray:
        """Return the buffer on the host, with all gradients in it."""
        for parameter, view in self._of_gradients.items():
            if parameter not in self._written and parameter.grad is not None:
                view.copy_(parameter.grad)
                parameter.grad = view
                self._written.add(parameter)
        return self.gradients.host()

    def divide_gradients(self, divisor: float) -> None:
        """Divide the gradients, wherever they lie."""
        if divisor != 1:
            grads = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
            torch._foreach_div_(grads, divisor)

    # -- who writes ---------------------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """A number that grows with each write that is not within `own_writes`, through whichever method of torch."""
        return self._count() - self._own_writes

    @contextmanager
    def own_writes(self) -> Iterator[None]:
        """Write, in a block, what every rank writes alike, and what is therefore no change by the user."""
        version = self.version
        try:
            yield
        finally:
            self._own_writes = self._count() - version

    def _count(self) -> int:
        return sum(tensor._version for tensor in self._places)

    # -- state --------------------------------------------------------------------------------------------------------

    def state_version(self, skipped: set[nn.Module]) -> int:
        """Return a number that grows with each write to a buffer; but for those of some modules.

        A buffer that a module has exchanged for another tensor is written to, and put back.
        """
        for owner, name, tensor in self._buffers:
            current = getattr(owner, name)
            if current is not tensor:
                tensor.copy_(current.detach())
                setattr(owner, name, tensor)
        return sum(tensor._version for owner, _, tensor in self._buffers if owner not in skipped)

    def state(self) -> np.ndarray:
        """Return all buffers as one row of float64."""
        parts = [tensor.detach().reshape(-1).to("cpu", torch.float64) for tensor in self._state_tensors()]
        return torch.cat(parts).numpy() if parts else np.empty(0)

    def set_state(self, values: np.ndarray) -> None:
        """Write what `state` returned; what are integers are rounded."""
        self.to_device()
        start = 0
        with self.own_writes(), torch.no_grad():
            for tensor in self._state_tensors():
                part = torch.from_numpy(values[start : start + tensor.numel()]).reshape(tensor.shape)
                tensor.copy_(part if tensor.is_floating_point() else part.round())
                start += tensor.numel()

    def _state_tensors(self) -> list[torch.Tensor]:
        return list(dict.fromkeys(tensor for _, _, tensor in self._buffers))


def _common_dtype(module: nn.Module) -> torch.dtype:
    dtypes = {parameter.dtype: name for name, parameter in module.named_parameters()}
    if len(dtypes) > 1 or not set(dtypes) <= set(_OF_WEIGHTS):
        found = ", ".join(f"{dtype} ({name})" for dtype, name in dtypes.items())
        raise TypeError(
            "a module's parameters are all float32, or all float64, since their gradients are summed over the ranks as"
            f" one array: call module.float() or module.double() first. Received: {found}"
        )
    return next(iter(dtypes), torch.float32)
