"""An optimizer of torch, as training, callbacks and checkpoints see one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from distfit.engines.torch_schedule import numbers_of, with_numbers
from distfit.engines.torch_staged import Staged
from distfit.engines.torch_weights import Weights
from distfit.optimizers import Segment, slots
from distfit.utils.configured import Configured

_RATE = "learning_rate"


class TorchOptimizer(Configured):
    """An optimizer of torch, whose gradients are those of all ranks, and whose state lies in named arrays.

    Args:
        given: a `torch.optim.Optimizer` of the module's parameters; a scheduler of one, which is stepped after each
            update; or a function of the parameters that makes one, such as the class itself or a
            `functools.partial` of it.
        weights: of the module.

    Attributes:
        optimizer: torch's own; None before `build` where a function makes it.
        scheduler: what gives the learning rate, or None.
        iterations: how many updates were made.

    Raises:
        TypeError: for an optimizer that needs a closure, or a scheduler that waits for a metric.
    """

    use_ema = False
    gradient_accumulation_steps: int | None = None

    def __init__(self, given: Any, weights: Weights) -> None:
        self.optimizer: Any = None
        self.scheduler: Any = None
        self.iterations = 0
        self._make: Callable[..., Any] | None = None
        if isinstance(given, torch.optim.lr_scheduler.ReduceLROnPlateau):
            raise TypeError(
                "ReduceLROnPlateau of torch waits for a metric: give its optimizer to compile, and fit the callback"
                " callbacks.ReduceLROnPlateau, which sees that metric over all ranks"
            )
        if isinstance(given, torch.optim.lr_scheduler.LRScheduler):
            self.scheduler, self.optimizer = given, given.optimizer
        elif isinstance(given, torch.optim.Optimizer):
            self.optimizer = given
        else:
            self._make = given
        self.name = getattr(given, "__name__", type(given).__name__).lower()
        self._weights = weights
        self._slots: dict[str, tuple[Staged, list[tuple[Any, torch.Tensor]]]] = {}
        self._keeps_from_start = False
        self._check()

    def _check(self) -> None:
        if isinstance(self.optimizer, torch.optim.LBFGS):
            raise TypeError(
                "LBFGS computes the loss several times in an update, on its own: take another optimizer"
            )
        of_module = {id(parameter) for parameter in self._weights.parameters}
        if self.optimizer is not None and not all(id(p) in of_module for p in self._parameters()):
            raise ValueError(
                "the optimizer holds parameters that are not the module's: make it of module.parameters()"
            )

    def get_config(self) -> dict[str, Any]:
        """Return what ranks compare."""
        groups = [] if self.optimizer is None else [len(g["params"]) for g in self.optimizer.param_groups]
        return {"optimizer": self.name, "groups": groups, "scheduler": type(self.scheduler).__name__}

    # -- the arrays ---------------------------------------------------------------------------------------------------

    @property
    def is_new(self) -> bool:
        """False: who made it may have written to its arrays before."""
        return False

    def build(self, size: int, dtype: Any, segments: Sequence[Segment]) -> None:  # noqa: ARG002 - the weights know
        """Make the optimizer, and the arrays of its state; those that are there are kept.

        What an optimizer keeps is seen from one that is copied and makes an update of zeros: torch's make their state
        in the first update, but ranks share it, and checkpoints restore it, before that.
        """
        if self.optimizer is None and self._make is not None:
            trained = [p for p in self._weights.parameters if p.requires_grad]
            self.optimizer = self._make(trained)
            if not isinstance(self.optimizer, torch.optim.Optimizer):
                raise TypeError(
                    "an optimizer is a name such as 'adam', an optimizer of torch or of distfit, its class, or a"
                    f" function of the parameters that makes one. Received: {self.name}, which makes a"
                    f" {type(self.optimizer).__name__}"
                )
            self._check()
        if self._slots:
            return
        state = self.optimizer.state
        self._keeps_from_start = any(state[p] for p in self._parameters() if p in state)
        for key, tensors in self._probe().items():
            self._slots[key] = self._allocate(tensors)
        if self._keeps_from_start:
            self._collect()

    def _probe(self) -> dict[str, list[tuple[Any, torch.Tensor]]]:
        """Return the tensors that an update keeps, by name, with the parameters whose they are."""
        probe = copy.deepcopy(self.optimizer)
        twins = [p for group in probe.param_groups for p in group["params"]]
        for twin in twins:
            twin.grad = torch.zeros_like(twin)
        type(probe).step(probe)  # not the instance's, which a scheduler may have wrapped
        found: dict[str, list[tuple[Any, torch.Tensor]]] = {}
        for parameter, twin in zip(self._parameters(), twins, strict=True):
            for key, value in probe.state[twin].items():
                if isinstance(value, torch.Tensor):
                    found.setdefault(key, []).append((parameter, value))
                elif value is not None:
                    raise TypeError(
                        f"{self.name} keeps {key!r} of a parameter as a {type(value).__name__}, but only tensors are"
                        " kept equal on all ranks, and in checkpoints: take another optimizer"
                    )
        return found

    def _allocate(
        self, tensors: list[tuple[Any, torch.Tensor]]
    ) -> tuple[Staged, list[tuple[Any, torch.Tensor]]]:
        """Return an array for one kind of state: laid out as the weights, where it has a number for each of them."""
        device = self._weights.gradients.device().device
        dtype = tensors[0][1].dtype
        if (
            all(value.shape == parameter.shape for parameter, value in tensors)
            and dtype == self._weights.dtype
        ):
            staged = self._weights.like(device)
            views = [staged.views[self._weights.number(parameter)] for parameter, _ in tensors]
        else:
            staged = Staged([tuple(value.shape) for _, value in tensors], dtype, device)
            views = staged.views
        return staged, [(parameter, view) for (parameter, _), view in zip(tensors, views, strict=True)]

    def _collect(self) -> None:
        """Move to the arrays what the optimizer keeps elsewhere: after its first update, or if it makes new tensors."""
        for key, (_, views) in self._slots.items():
            for parameter, view in views:
                own = self.optimizer.state[parameter]
                if own.get(key) is not view and own.get(key) is not None:
                    view.copy_(own[key])
                    own[key] = view

    def _attach(self) -> None:
        """Let the optimizer go on from what the arrays hold; from nothing where it has made no update."""
        if self._keeps_from_start:
            return
        if self.iterations == 0:
            for parameter in self._parameters():
                self.optimizer.state.pop(parameter, None)
            return
        for key, (_, views) in self._slots.items():
            for parameter, view in views:
                self.optimizer.state[parameter][key] = view

    def apply(self, parameters: np.ndarray, gradients: np.ndarray, divisor: float) -> None:  # noqa: ARG002
        """Make one update: these arrays are those of the module's own tensors."""
        self.step(divisor)

    def step(self, divisor: float) -> None:
        """Make one update with the gradients, divided by `divisor`, and step the scheduler."""
        self._weights.gradients.device()
        self._weights.divide_gradients(divisor)
        self._weights.to_device()
        for staged, _ in self._slots.values():
            staged.device()
        with self._weights.own_writes():
            self.optimizer.step()
        self._collect()
        self.iterations += 1
        if self.scheduler is not None:
            self.scheduler.step()

    def finalize_ema(self, parameters: np.ndarray) -> None:
        """Do nothing: it keeps no average."""

    # -- what is saved and shared -------------------------------------------------------------------------------------

    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays by torch's names, such as ``"exp_avg"``."""
        return {key: staged.host() for key, (staged, _) in self._slots.items()}

    def scalars(self) -> dict[str, float]:
        """Return `iterations`, the learning rates, and where a scheduler is."""
        scheduled = {} if self.scheduler is None else numbers_of(self.scheduler.state_dict(), "scheduler")
        return {"iterations": float(self.iterations), **self.numbers(), **scheduled}

    def set_scalars(self, scalars: Mapping[str, float]) -> None:
        """Set what `scalars` returned."""
        self.iterations = int(scalars["iterations"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(with_numbers(self.scheduler.state_dict(), scalars, "scheduler"))
        self._set_rates(scalars)
        self._attach()

    def restore(self, arrays: Mapping[str, np.ndarray], scalars: Mapping[str, float]) -> None:
        """Take over a saved state.

        Raises:
            ValueError: if arrays or numbers are missing, unknown, or of another shape. Nothing is changed then.
        """
        missing = [name for name in self.scalars() if name not in scalars]
        if missing:
            raise ValueError(
                f"the state of another optimizer has no {', '.join(missing)}, as {self.name} has"
            )
        slots.restore(self.state(), arrays)
        self.set_scalars(scalars)

    # -- the learning rate --------------------------------------------------------------------------------------------

    @property
    def learning_rate(self) -> float:
        """That of the first group of parameters. Set, it scales those of the others by as much."""
        return float(self.optimizer.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if self.scheduler is not None:
            raise TypeError(
                f"{type(self.scheduler).__name__} gives the learning rate, which is hence not settable. Give"
                f" compile the optimizer alone. Received: {value!r}"
            )
        before, rates = self.learning_rate, self.numbers()
        self._set_rates({name: rate * (value / before) if before else value for name, rate in rates.items()})
        self._set_rates({_RATE: float(value)})

    def numbers(self) -> dict[str, float]:
        """Return the learning rate of each group of parameters."""
        groups = [] if self.optimizer is None else self.optimizer.param_groups
        return {_name(i): float(group["lr"]) for i, group in enumerate(groups)}

    def set_numbers(self, numbers: Mapping[str, float]) -> None:
        """Set learning rates to what was agreed; a scheduled one stays what it is."""
        if self.scheduler is None:
            self._set_rates(numbers)

    def _set_rates(self, rates: Mapping[str, float]) -> None:
        for i, group in enumerate(self.optimizer.param_groups):
            rate = rates.get(_name(i))
            if rate is not None and isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            elif rate is not None:
                group["lr"] = float(rate)

    def settings(self) -> dict[str, Any]:
        """Return the other options of each group of parameters, such as a momentum."""
        groups = [] if self.optimizer is None else self.optimizer.param_groups
        return {
            f"{name} of group {i}": list(value) if isinstance(value, tuple) else value
            for i, group in enumerate(groups)
            for name, value in group.items()
            if name not in ("params", "lr") and isinstance(value, (int, float, str, tuple, type(None)))
        }

    def set_settings(self, settings: Mapping[str, Any]) -> None:
        """Set what `settings` returned."""
        for key, value in settings.items():
            name, _, number = key.rpartition(" of group ")
            self.optimizer.param_groups[int(number)][name] = (
                tuple(value) if isinstance(value, list) else value
            )

    def _parameters(self) -> list[Any]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]


def _name(group: int) -> str:
    return f"{_RATE}_{group}" if group else _RATE
