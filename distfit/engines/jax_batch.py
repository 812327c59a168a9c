"""Sums over the global batch within a function of JAX, so that any number of ranks computes what one would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distfit.engines.values import Step


class Pass:
    """The pass of training that is under way, as functions that JAX has compiled see it: through a call back.

    Attributes:
        step: whose rows are computed; None in evaluation, and outside of distfit.
        error: what went wrong in a call back. Nothing is raised through compiled code, which would make another error
            of it: the sums are zeros from then on, and the engine raises it when the function has come to its end.
    """

    def __init__(self) -> None:
        self.step: Step | None = None
        self.error: BaseException | None = None
        self._number = 0
        self._rows: Any = None
        self._order: Any = None

    @contextmanager
    def of(self, step: Step) -> Iterator[None]:
        """Be under way in a block, and raise behind it what went wrong in a call back.

        Raises:
            RemoteError: and others that an agreement raises.
        """
        self.step, self.error = step, None
        try:
            yield
            if self.error is not None:
                raise self.error
        finally:
            self.step = self.error = None

    @contextmanager
    def traced(self, rows: Any, *, training: bool) -> Iterator[None]:
        """Trace a function in a block. Its sums get numbers in the order in which it asks for them.

        Args:
            rows: how many of those that it is given are the rank's own; others stand behind them for the shape alone.
            training: whether it sums over all ranks.
        """
        global _tracing
        outer, _tracing = _tracing, self
        self._number, self._rows, self._order = 0, rows, jnp.zeros(()) if training else None
        try:
            yield
        finally:
            _tracing, self._rows, self._order = outer, None, None

    def sum(self, x: Any) -> Any:
        """Return the sum over the rank's own rows, and in training over those of all ranks."""
        own = jnp.arange(x.shape[0]) < self._rows
        of_rank = jnp.where(own.reshape(-1, *[1] * (x.ndim - 1)), x, 0).sum(0)
        if self._order is None:
            return of_rank
        number, self._number = self._number, self._number + 1
        total, self._order = _sum(self, number, of_rank, self._order)
        return total

    def on_host(self, number: int, backward: bool, x: Any, order: Any) -> tuple[np.ndarray, np.ndarray]:
        """Sum over the ranks: what compiled code calls back.

        Ranks: those with rows. Without an error all of them run the same function, and so ask for the same sums in the
            same order; one that failed joins the next message of the others with its error, as everywhere.
        """
        array = np.asarray(x)
        if self.step is None or self.error is not None:
            return np.zeros_like(array), np.asarray(order)
        try:
            flat = np.ascontiguousarray(array, np.float64).reshape(-1)
            total = self.step.sum_over_batch(number, flat, backward)
        except BaseException as error:
            self.error = error
            return np.zeros_like(array), np.asarray(order)
        return total.reshape(array.shape).astype(array.dtype), np.asarray(order)


_tracing: Pass | None = None


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _sum(under_way: Pass, number: int, x: Any, order: Any) -> Any:
    """Return the sum over all ranks, and a number from which the next sum takes its place in the order.

    Compiled code may call back in any order that the data allow, and two ranks in two orders would wait for each other
    for ever. So each sum depends on that before it: in the backward pass, whose sums come the other way round, through
    the gradient of that number.
    """
    return _call_back(under_way, number, False, x, order)


def _call_back(under_way: Pass, number: int, backward: bool, x: Any, order: Any) -> Any:
    shapes = jax.ShapeDtypeStruct(x.shape, x.dtype), jax.ShapeDtypeStruct(order.shape, order.dtype)
    return jax.pure_callback(partial(under_way.on_host, number, backward), shapes, x, order)


def _sum_forward(under_way: Pass, number: int, x: Any, order: Any) -> Any:
    return _sum(under_way, number, x, order), None


def _sum_backward(under_way: Pass, number: int, _: None, gradients: Any) -> Any:
    # The loss of every rank depends on the sum: its gradient by what this rank added is that of all of them.
    return _call_back(under_way, number, True, *gradients)


_sum.defvjp(_sum_forward, _sum_backward)


def sum_over_batch(x: jax.Array) -> jax.Array:
    """Return the sum of an array over the rows of the global batch, in the function that a `JaxModel` trains.

    Args:
        x: ``(rows, …)``, floats.

    Returns:
        ``(…)``: summed over this rank's rows and those of all others; outside of a training step over these rows alone.

    Ranks: in a training step, those with rows; the others join in. One small message, and one more in the backward
        pass.
    """
    return x.sum(0) if _tracing is None else _tracing.sum(x)


def mean_over_batch(x: jax.Array) -> jax.Array:
    """Return the mean of an array over the rows of the global batch; see `sum_over_batch`.

    Args:
        x: ``(rows, …)``, floats.

    Returns:
        ``(…)``.

    Ranks: as `sum_over_batch`.

    Example:
        Batch normalization, as on one rank::

            mean = mean_over_batch(x)
            variance = mean_over_batch((x - mean) ** 2)
            y = (x - mean) / jnp.sqrt(variance + 1e-3)
    """
    flat = x.reshape(len(x), -1)
    sums = sum_over_batch(jnp.concatenate([flat, jnp.ones_like(flat[:, :1])], axis=1))
    return (sums[:-1] / sums[-1]).reshape(x.shape[1:])
