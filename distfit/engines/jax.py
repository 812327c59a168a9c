"""The engine of functions of JAX."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

try:
    import jax
except ImportError as error:
    raise ImportError("JaxModel needs JAX: pip install 'distfit-mpi[jax]'") from error

from distfit import losses, optimizers
from distfit.engines.engine import ComputeLoss, Engine
from distfit.engines.jax_batch import Pass, mean_over_batch, sum_over_batch
from distfit.engines.jax_losses import JaxLoss, loss_value
from distfit.engines.jax_optimizer import JaxOptimizer, is_optax
from distfit.engines.jax_rows import as_gradient, dropout, first, keys_of_rows
from distfit.engines.jax_weights import Leaves, common_dtype
from distfit.engines.padding import Padding
from distfit.engines.updater import Updater
from distfit.engines.values import Evaluated, LossValue, Step, Variable
from distfit.losses import Loss
from distfit.optimizers import Segment
from distfit.utils.nested import map_leaves

__all__ = ["JaxEngine", "dropout", "loss_value", "mean_over_batch", "sum_over_batch"]

_ASKED = ("state", "training", "rng")
_WORD = 0xFFFFFFFF
# Under which the ranks' state is summed. What the function itself sums has numbers from 0 on.
_STATE = 1 << 20


class JaxEngine(Engine):
    """Runs a function of JAX. Its parameters, state and gradients lie in the flat buffers.

    Args:
        apply: ``apply(params, x)`` returns the output for rows; where it has parameters of these names, it is called
            with ``state=`` and returns output and new state, with ``training=``, and with ``rng=``, a key for each row
            in training and None otherwise.
        params: a pytree of float32 or of float64 numbers, which are trained.
        state: a pytree of what a training pass changes, such as moving averages; None for none.
        trainable: says of a parameter, by its name, whether it is trained. Defaults to all.
        output_shape: of one row of the output, where metrics with a value for each output need it.

    Raises:
        TypeError: if `params` has several dtypes, or is not of numbers.
        ValueError: if `state` is given and `apply` does not take it, or the other way round.
    """

    def __init__(
        self,
        apply: Callable[..., Any],
        params: Any,
        *,
        state: Any = None,
        trainable: Callable[[str], bool] | None = None,
        output_shape: tuple[int, ...] | None = None,
    ) -> None:
        names = inspect.signature(apply).parameters
        self._asked = [name for name in _ASKED if name in names]
        if (state is not None) != ("state" in self._asked):
            raise ValueError(
                "a function with state takes it as `state=`, and returns its output and the new state; JaxModel then"
                f" needs state=, a pytree. Received: a function of ({', '.join(names)}), and"
                f" {'a' if state is not None else 'no'} state"
            )
        self._apply = apply
        self._dtype = common_dtype(params)
        self._params = Leaves(params, "the parameter", first=self._dtype)
        self._state = Leaves({} if state is None else state, "the state", prefix="state")
        self._trained = [trainable is None or bool(trainable(name)) for name in self._params.names]
        self._gradients = Leaves(params, "the gradient", first=self._dtype)
        self._output_shape = output_shape
        self._optimizer: Updater | None = None
        self._pass = Pass()
        self._padding = Padding()
        self._fresh = True
        self._forward = jax.jit(self._differentiate)
        self._infer = jax.jit(partial(self._compute, training=False))
        self._backward = jax.jit(lambda backward, gradient: backward(gradient)[0])

    # -- the weights --------------------------------------------------------------------------------------------------

    @property
    def params(self) -> Any:
        """The parameters as they are now, copies, in the pytree in which they were given."""
        return self._params.tree()

    @property
    def state(self) -> Any:
        """The state as it is now, copies, in the pytree in which it was given."""
        return self._state.tree()

    @property
    def parameters(self) -> np.ndarray:
        return self._params.buffers[""]

    @property
    def gradients(self) -> np.ndarray:
        return self._gradients.buffers[""]

    @property
    def replicated(self) -> dict[str, np.ndarray]:
        return {**self._params.buffers, **self._state.buffers}

    @property
    def variables(self) -> list[Variable]:
        trained = dict(zip(self._params.names, self._trained, strict=True))
        return [
            *self._params.variables(is_state=False, is_trained=trained.__getitem__),
            *self._state.variables(is_state=True, is_trained=trained.__getitem__),
        ]

    @property
    def version(self) -> int:
        return self._params.version + self._state.version

    @property
    def output_shape(self) -> Any:
        return self._output_shape

    def describe(self) -> str:
        return "; ".join(
            f"{v.name} {v.value.shape} {v.value.dtype}{'' if v.trainable else ' frozen'}"
            for v in self.variables
        )

    # -- what compile is given ----------------------------------------------------------------------------------------

    def read_optimizer(self, identifier: Any) -> Updater:
        """Return one of distfit's, by name or object, or one of optax's: see `JaxOptimizer`."""
        if is_optax(identifier):
            return JaxOptimizer(identifier, self._params, self._gradients, self._trained)
        return optimizers.get(identifier)

    def read_loss(self, identifier: Any) -> Any:
        """Return one of distfit's, by name or object, or a function of JAX ``(y_pred, y) -> values``: see `JaxLoss`."""
        if isinstance(identifier, (str, Loss, type)) or not callable(identifier):
            return losses.get(identifier)
        return JaxLoss(identifier)

    def loss_value(self, loss: Any, y: Any, y_pred: Any, sample_weight: Any) -> LossValue:
        if isinstance(loss, JaxLoss):
            return loss.value(y, y_pred, sample_weight)
        return super().loss_value(
            loss, *(map_leaves(np.asarray, part) for part in (y, y_pred, sample_weight))
        )

    def compile(self, optimizer: Updater | None) -> None:
        self._optimizer = optimizer
        if optimizer is None:
            return
        arena = self._params.arenas[""]
        places = zip(self._params.names, arena.starts, arena.stops, self._trained, strict=True)
        segments = [Segment(name, start, stop) for name, start, stop, trained in places if trained]
        optimizer.build(self.parameters.size, self.parameters.dtype, segments)

    # -- a rank's rows ------------------------------------------------------------------------------------------------

    def begin_gradients(self) -> None:
        self._fresh = True

    def finish_gradients(self) -> None:
        if self._fresh:
            self.gradients.fill(0)
            self._fresh = False

    def compute_gradients(
        self, x: Any, y: Any, sample_weight: Any, step: Step, loss: ComputeLoss
    ) -> Evaluated:
        padded, rows = self._padding.filled(self._as_arrays(x), step.rows), np.int32(step.rows)
        seed = np.array([step.seed & _WORD, step.seed >> 32 & _WORD], np.uint32)
        place = seed, np.uint32(step.number & _WORD), np.uint32(step.first_row & _WORD)
        with self._pass.of(step):
            outputs, backward, state = jax.block_until_ready(
                self._forward(*self._split(), self._state.arrays(), padded, rows, *place)
            )
        y_pred = first(outputs, step.rows)
        value = loss(x, y, y_pred, sample_weight)
        gradient = map_leaves(partial(as_gradient, step.rows), outputs, value.gradient())
        with self._pass.of(step):
            self._add(jax.block_until_ready(self._backward(backward, gradient)))
        self._share_state(step, state)
        return Evaluated(map_leaves(np.asarray, y_pred), value.total, value.weight)

    def _split(self) -> tuple[list[Any], list[Any]]:
        arrays = self._params.arrays()
        return [a for a, t in zip(arrays, self._trained, strict=True) if t], [
            a for a, t in zip(arrays, self._trained, strict=True) if not t
        ]

    def _differentiate(
        self, trained: list[Any], frozen: list[Any], state: list[Any], x: Any, rows: Any, *place: Any
    ) -> tuple[Any, Any, list[Any]]:
        """Return the output, a function from its gradient to those of the trained parameters, and the new state."""

        def compute(trained: list[Any]) -> tuple[Any, list[Any]]:
            return self._compute(trained, frozen, state, x, rows, *place, training=True)

        output, backward, new = jax.vjp(compute, trained, has_aux=True)
        return output, backward, new

    def _compute(
        self,
        trained: list[Any],
        frozen: list[Any],
        state: list[Any],
        x: Any,
        rows: Any,
        seed: Any = None,
        number: Any = None,
        first_row: Any = None,
        *,
        training: bool,
    ) -> tuple[Any, list[Any]]:
        by_kind = iter(trained), iter(frozen)
        params = self._params.tree(next(by_kind[not is_trained]) for is_trained in self._trained)
        size = len(jax.tree_util.tree_leaves(x)[0])
        given = {
            "state": self._state.tree(state),
            "training": training,
            "rng": keys_of_rows(seed, number, first_row, size) if training and "rng" in self._asked else None,
        }
        with self._pass.traced(rows, training=training):
            output = self._apply(params, x, **{name: given[name] for name in self._asked})
        if "state" not in self._asked:
            return output, []
        output, new = output
        return output, self._state.flatten(new, "the state that the function returns")

    def _add(self, gradients: list[Any]) -> None:
        """Add gradients to the buffer, or put them there, where they are the first."""
        found = iter(gradients)
        for view, is_trained in zip(self._gradients.arenas[""].views, self._trained, strict=True):
            if not is_trained:
                continue
            gradient = np.asarray(next(found))
            np.copyto(view, gradient) if self._fresh else np.add(view, gradient, out=view)
        self._fresh = False

    def _share_state(self, step: Step, state: list[Any]) -> None:
        """Let the state be equal on all ranks: the mean by rows of what each of them has computed.

        Ranks: those with rows; the others join in `absorb_sums`. All of them have state, or none.
        """
        if state:
            flat = np.concatenate([np.ravel(leaf).astype(np.float64) for leaf in state])
            self.absorb_sums(_STATE, step.sum_over_batch(_STATE, step.rows * np.append(1.0, flat), False))

    def absorb_sums(self, layer: int, sums: np.ndarray) -> None:
        if layer == _STATE:  # and nothing is to be done with other sums, of which the state is made
            self._state.write_flat(sums[1:] / sums[0])

    def evaluate(self, x: Any, y: Any, sample_weight: Any, step: Step, loss: ComputeLoss) -> Evaluated:
        y_pred = self._predict(x, step)
        value = loss(x, y, y_pred, sample_weight)
        return Evaluated(map_leaves(np.asarray, y_pred), value.total, value.weight)

    def predict(self, x: Any, step: Step) -> Any:
        return map_leaves(np.asarray, self._predict(x, step))

    def _predict(self, x: Any, step: Step) -> Any:
        padded, rows = self._padding.filled(self._as_arrays(x), step.rows), np.int32(step.rows)
        outputs, _ = self._infer(*self._split(), self._state.arrays(), padded, rows)
        return first(jax.block_until_ready(outputs), step.rows)

    def _as_arrays(self, x: Any) -> Any:
        """Return inputs of which floats are in the parameters' dtype, and the rest is as it is."""
        return map_leaves(
            lambda leaf: leaf.astype(self._dtype, copy=False) if leaf.dtype.kind == "f" else leaf, x
        )

    # -- after the reduction ------------------------------------------------------------------------------------------

    def update(self, divisor: float) -> None:
        if self._optimizer is None:
            raise TypeError("the engine was compiled without an optimizer")
        self._optimizer.apply(self.parameters, self.gradients, divisor)
