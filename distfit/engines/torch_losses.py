"""Losses of torch, as sums over rows with a divisor of their own, so that their mean over all ranks is exact."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from distfit.engines.values import LossValue
from distfit.utils.configured import Configured
from distfit.utils.nested import leaves, map_leaves

_WITH_CLASS_NUMBERS = (nn.CrossEntropyLoss, nn.NLLLoss)
_MEANS = ("mean", "batchmean")


class TorchLoss(Configured):
    """A loss of torch: a module such as `nn.CrossEntropyLoss`, or a function ``(y_pred, y) -> tensor``.

    A module is asked for each value (``reduction="none"``), and the sum is divided by what torch divides it by: the
    number of values, of rows for ``"batchmean"``, and for class numbers the sum of the weights of the classes that are
    not ignored. A function returns each value, whose mean is taken, or their mean over the rows that it got.

    Args:
        function: the module or function.

    Raises:
        ValueError: for a module whose reduction is no mean.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = getattr(function, "__name__", type(function).__name__)
        self._reduction = getattr(function, "reduction", None) if isinstance(function, nn.Module) else None
        if self._reduction is not None:
            if self._reduction not in _MEANS:
                raise ValueError(
                    f"{self.name} has reduction={self._reduction!r}, but a loss is a mean over the global batch,"
                    " whatever its size: make it with reduction='mean'"
                )
            function = copy.copy(function)
            function.reduction = "none"  # type: ignore[attr-defined]
        self._function = function

    def get_config(self) -> dict[str, Any]:
        """Return what ranks compare."""
        return {"loss": self.name, "reduction": self._reduction}

    def to(self, device: torch.device) -> None:
        """Move the weights of classes, where there are some."""
        if isinstance(self._function, nn.Module):
            self._function.to(device)

    def value(self, y: Any, y_pred: Any, sample_weight: torch.Tensor | None) -> LossValue:
        """Return the sum over this rank's rows, its divisor and its gradient.

        Args:
            y: targets; a tensor, or a tree of them.
            y_pred: the module's output, the same.
            sample_weight: ``(rows,)``, or None. Weights the sum, not its divisor, as in Keras.

        Raises:
            ValueError: for sample weights of a loss that gives no value for each row.
        """
        if isinstance(y, torch.Tensor) and isinstance(y_pred, torch.Tensor) and y.shape == y_pred.shape:
            y = y if y.is_floating_point() else y.to(y_pred.dtype)
        values = self._function(y_pred, y)
        rows = len(leaves(y_pred)[0][1])
        if values.ndim == 0:
            if sample_weight is not None:
                raise ValueError(
                    f"{self.name} returns one number, which sample_weight cannot weigh by row: let it return a"
                    " value for each row"
                )
            return loss_value(values * rows, rows, y_pred)
        if sample_weight is not None:
            values = values * sample_weight.reshape(-1, *[1] * (values.ndim - 1))
        return loss_value(values.sum(dtype=torch.float64), self._divisor(values, y, rows), y_pred)

    def _divisor(self, values: torch.Tensor, y: Any, rows: int) -> float:
        if self._reduction == "batchmean":
            return rows
        if not isinstance(self._function, _WITH_CLASS_NUMBERS) or y.is_floating_point():
            return float(values.numel())
        counted = y[y != self._function.ignore_index]
        weight = self._function.weight
        return float(counted.numel()) if weight is None else float(weight[counted].sum(dtype=torch.float64))


def loss_value(total: torch.Tensor, weight: float, y_pred: Any) -> LossValue:
    """Return what an override of `Model.compute_loss` returns, from a sum that torch can differentiate.

    Args:
        total: the sum of the losses of this rank's rows, a tensor of no dimension that depends on `y_pred`.
        weight: what the sum over all ranks is divided by: the number of values in it.
        y_pred: the module's output, as `compute_loss` was given it.

    Ranks: local.

    Example:
        >>> import torch
        >>> y_pred = torch.tensor([1.0, 3.0], requires_grad=True)
        >>> value = loss_value((y_pred**2).sum(), 2, y_pred)
        >>> value.total, value.weight, value.gradient().tolist()
        (10.0, 2, [2.0, 6.0])
    """

    def gradient() -> Any:
        outputs = [
            leaf for _, leaf in leaves(y_pred) if isinstance(leaf, torch.Tensor) and leaf.requires_grad
        ]
        found = torch.autograd.grad(total, outputs, allow_unused=True) if outputs else ()
        by_output = dict(zip(map(id, outputs), found, strict=True))
        return map_leaves(lambda leaf: by_output.get(id(leaf)), y_pred)

    return LossValue(float(total.detach()), weight, gradient)
