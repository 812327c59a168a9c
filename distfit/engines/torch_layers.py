"""Layers that do the same on any number of ranks, in the place of those of torch that do not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from distfit.engines.values import Step
from distfit.random import RowGenerator

_NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class Pass:
    """The pass of training that is under way, as exchanged layers see it.

    Attributes:
        step: whose rows are computed; None in evaluation, and outside of distfit.
        number: of the pass.
    """

    def __init__(self) -> None:
        self.step: Step | None = None
        self.number = 0

    @contextmanager
    def of(self, step: Step) -> Iterator[None]:
        """Be under way in a block: what is drawn in it is drawn anew."""
        self.step = step
        self.number += 1
        try:
            yield
        finally:
            self.step = None  # a module may be copied behind it, and has to take no rank along


class GlobalBatchNorm(nn.Module):  # type: ignore[misc]
    """Batch normalization by the global batch's mean and variance, where torch's takes those of a rank's rows.

    Args:
        original: whose parameters, buffers and options it takes over.
    """

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.eps, self.momentum = original.eps, original.momentum
        self.track_running_stats = original.track_running_stats
        self.weight, self.bias = original.weight, original.bias
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(original, name))
        self.train(original.training)
        self.join(Pass(), 0)

    def join(self, current: Pass, number: int) -> None:
        """Look at this pass from here on.

        Args:
            current: the pass under way.
            number: under which ranks without rows find the layer.
        """
        self._current, self._number = current, number

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize ``(rows, channels, ...)``: with the global batch's statistics in training."""
        step = self._current.step
        if not self.training:
            by_batch = not self.track_running_stats
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, by_batch, 0.0, self.eps
            )
        if step is None:
            rate = self._count_batch()
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, True, rate, self.eps
            )
        return _Normalization.apply(x, self.weight, self.bias, self, step)

    def absorb_sums(self, sums: np.ndarray) -> None:
        """Move the averages towards the global batch's mean and unbiased variance, as torch does."""
        if not self.track_running_stats:
            return
        count, mean, variance = self.moments(sums)
        with torch.no_grad():
            rate = self._count_batch()
            unbiased = variance * (count / max(count - 1, 1))
            self.running_mean.lerp_(torch.as_tensor(mean).to(self.running_mean), rate)
            self.running_var.lerp_(torch.as_tensor(unbiased).to(self.running_var), rate)

    def _count_batch(self) -> float:
        """Return how far the averages move with the next batch: by `momentum`, or so that all batches weigh alike."""
        if not self.track_running_stats:
            return 0.0
        self.num_batches_tracked += 1
        return 1 / float(self.num_batches_tracked) if self.momentum is None else float(self.momentum)

    def shift(self) -> torch.Tensor | float:
        """Return what is subtracted before sums are made: equal on all ranks, near the mean, so that digits stay."""
        return self.running_mean.clone() if self.track_running_stats else 0.0

    def moments(self, sums: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the count, the mean and the biased variance of each channel."""
        count = float(sums[0])
        shifted, squares = sums[1:].reshape(2, -1) / count
        shift = self.shift()
        mean = shifted + (shift if isinstance(shift, float) else shift.double().cpu().numpy())
        return count, mean, np.maximum(squares - shifted * shifted, 0)


class _Normalization(torch.autograd.Function):  # type: ignore[misc]
    """Ioffe and Szegedy's normalization and its derivative, with sums over the rows of all ranks."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: Any, bias: Any, layer: GlobalBatchNorm, step: Step) -> Any:
        others = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        shift = layer.shift()
        shifted = x - (shift if isinstance(shift, float) else shift.view(shape))
        sums = [shifted.sum(others, dtype=torch.float64), shifted.square().sum(others, dtype=torch.float64)]
        count = x.numel() // x.shape[1]
        local = np.concatenate([[count], *(part.cpu().numpy() for part in sums)])
        total = step.sum_over_batch(layer._number, local, False)
        count, mean, variance = layer.moments(total)
        layer.absorb_sums(total)
        inverse = torch.as_tensor(1 / np.sqrt(variance + layer.eps)).to(x).view(shape)
        normalized = (x - torch.as_tensor(mean).to(x).view(shape)) * inverse
        ctx.save_for_backward(normalized, inverse, weight)
        ctx.of = layer._number, step, count, others, shape
        y = normalized if weight is None else normalized * weight.view(shape)
        return y.clone() if y is normalized else y if bias is None else y + bias.view(shape)

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> Any:  # type: ignore[override, unused-ignore]
        normalized, inverse, weight = ctx.saved_tensors
        number, step, count, others, shape = ctx.of
        # Of this rank's rows alone: gradients of parameters are summed over the ranks with all others.
        sum_dy = dy.sum(others, dtype=torch.float64)
        sum_product = (dy * normalized).sum(others, dtype=torch.float64)
        dx = None
        if ctx.needs_input_grad[0]:
            local = torch.cat([sum_dy, sum_product]).cpu().numpy()
            means = torch.as_tensor(step.sum_over_batch(number, local, True) / count).to(dy)
            mean_dy, mean_product = (part.view(shape) for part in means.chunk(2))
            dx = (dy - mean_dy - normalized * mean_product) * inverse
            dx = dx if weight is None else dx * weight.view(shape)
        has_weight, has_bias = ctx.needs_input_grad[1:3]
        return dx, sum_product.to(dy) if has_weight else None, sum_dy.to(dy) if has_bias else None, None, None


class RowDropout(nn.Module):  # type: ignore[misc]
    """Dropout whose numbers belong to rows, where torch's depend on which rows a rank has.

    Args:
        original: whose options it takes over.
    """

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.p, self._drops_channels = original.p, not isinstance(original, nn.Dropout)
        self.train(original.training)
        self.join(Pass(), 0)

    def join(self, current: Pass, number: int) -> None:
        """Look at this pass from here on.

        Args:
            current: the pass under way.
            number: tells the layer's random numbers from those of others.
        """
        self._current, self._number = current, number
        self._generator: tuple[int, RowGenerator | None] = (-1, None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Drop numbers, or whole channels, of ``(rows, ...)`` in training.

        Raises:
            ValueError: if the first axis is not the rows, or some for each of them.
        """
        step = self._current.step
        if not self.training or self.p == 0:
            return x
        row = (x.shape[1], *[1] * (x.ndim - 2)) if self._drops_channels else tuple(x.shape[1:])
        if step is None:
            return x * functional.dropout(x.new_ones(len(x), *row), self.p)
        if len(x) % step.rows:
            raise ValueError(
                "dropout that is the same on any number of ranks needs the rows of the batch as its input's first"
                f" axis. Received: shape {tuple(x.shape)} for {step.rows} rows. Put the rows first, or give"
                " TorchModel(..., invariant=False)"
            )
        drawn = self._drawing(step).uniform((len(x) // step.rows, *row), "float32").reshape(len(x), *row)
        scale = 1 / (1 - self.p) if self.p < 1 else 0.0
        kept = torch.from_numpy(np.where(drawn >= self.p, np.float32(scale), np.float32(0)))
        return x * kept.to(x)

    def _drawing(self, step: Step) -> RowGenerator:
        number, generator = self._generator
        if generator is None or number != self._current.number:
            generator = RowGenerator(step.seed, self._number, step.number, step.first_row, step.rows)
            self._generator = self._current.number, generator
        return generator


def exchange(module: nn.Module, current: Pass, *, invariant: bool) -> list[nn.Module]:
    """Put such layers in the place of torch's, under their names, with their parameters.

    Args:
        module: what is searched, whole; it is changed, but for itself.
        current: the pass under way, which the new layers look at.
        invariant: whether that is wanted. If not, layers that were exchanged before do again what torch's do.

    Returns:
        The exchanged layers, by their number.
    """
    exchanged: dict[nn.Module, nn.Module] = {}
    for parent in list(module.modules()):
        while invariant and (found := _to_exchange(parent)) is not None:  # once for each name of a layer
            name, child, kind = found
            if child not in exchanged:
                exchanged[child] = kind(child)
            setattr(parent, name, exchanged[child])
    layers = [layer for layer in module.modules() if isinstance(layer, (GlobalBatchNorm, RowDropout))]
    for number, layer in enumerate(layers):
        layer.join(current if invariant else Pass(), number)
    return layers if invariant else []


def _to_exchange(parent: nn.Module) -> tuple[str, nn.Module, type[Any]] | None:
    for name, child in parent.named_children():
        if type(child) in _NORMALIZATIONS:
            return name, child, GlobalBatchNorm
        if type(child) in _DROPOUTS:
            return name, child, RowDropout
    return None
