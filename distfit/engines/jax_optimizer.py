"""An optimizer of optax, as training, callbacks and checkpoints see one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from distfit.engines.jax_weights import Leaves
from distfit.optimizers import Segment, slots
from distfit.utils.configured import Configured

_RATE = "learning_rate"
_INJECTED = f"hyperparams/{_RATE}"


def is_optax(given: Any) -> bool:
    """Say whether it is a transformation of gradients, by what it can do: optax itself is never needed."""
    return isinstance(given, tuple) and callable(getattr(given, "init", None)) and hasattr(given, "update")


class JaxOptimizer(Configured):
    """A transformation of optax, whose gradients are those of all ranks, and whose state lies in named arrays.

    Callbacks can change the learning rate of one that was made with ``optax.inject_hyperparams``, which keeps it in its
    state.

    Args:
        transformation: an `optax.GradientTransformation`.
        params: of the engine.
        gradients: their buffer.
        trained: which of the parameters are.

    Attributes:
        iterations: how many updates were made.
    """

    use_ema = False
    gradient_accumulation_steps: int | None = None

    def __init__(self, transformation: Any, params: Leaves, gradients: Leaves, trained: list[bool]) -> None:
        self.name = "optax"
        self.iterations = 0
        self._transformation = transformation
        self._params, self._gradients, self._trained = params, gradients, trained
        self._state: Leaves | None = None
        self._update = jax.jit(self._updated)

    def get_config(self) -> dict[str, Any]:
        """Return what ranks compare."""
        return {"optimizer": self.name, "state": sorted(self.state())}

    @property
    def _leaves(self) -> Leaves:
        if self._state is None:
            state = self._transformation.init(self._params.tree(self._params.arrays()))
            self._state = Leaves(state, "the state of the optimizer")
        return self._state

    @property
    def is_new(self) -> bool:
        """False: who made it may have written to its arrays before."""
        return False

    def build(self, size: int, dtype: Any, segments: Sequence[Segment]) -> None:  # noqa: ARG002 - the leaves know
        """Make the arrays of the state; keep those that are there."""
        self._leaves  # noqa: B018 - they are made by the first look at them

    def apply(self, parameters: np.ndarray, gradients: np.ndarray, divisor: float) -> None:  # noqa: ARG002
        """Make one update with the gradients, divided by `divisor`."""
        scale = np.asarray(1 / divisor, parameters.dtype)
        weights, state = jax.block_until_ready(
            self._update(self._params.arrays(), self._gradients.arrays(), self._leaves.arrays(), scale)
        )
        self._params.write(weights)
        self._leaves.write(state)
        self.iterations += 1

    def _updated(
        self, params: list[Any], gradients: list[Any], state: list[Any], scale: Any
    ) -> tuple[list[Any], list[Any]]:
        means = self._params.tree(gradient * scale for gradient in gradients)
        updates, new = self._transformation.update(means, self._leaves.tree(state), self._params.tree(params))
        by_leaf = self._params.flatten(updates, "what the optimizer returns")
        weights = [
            weight + update.astype(weight.dtype) if is_trained else weight
            for weight, update, is_trained in zip(params, by_leaf, self._trained, strict=True)
        ]
        return weights, self._leaves.flatten(new, "the optimizer's new state")

    def finalize_ema(self, parameters: np.ndarray) -> None:
        """Do nothing: it keeps no average."""

    # -- what is saved and shared -------------------------------------------------------------------------------------

    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays by their paths in optax's state, such as ``"0/mu/dense/kernel"``, each as one row."""
        return self._leaves.by_name()

    def scalars(self) -> dict[str, float]:
        """Return `iterations`, and the learning rate where it is in the state."""
        return {"iterations": float(self.iterations), **self.numbers()}

    def set_scalars(self, scalars: Mapping[str, float]) -> None:
        """Set what `scalars` returned."""
        self.iterations = int(scalars["iterations"])
        self.set_numbers(scalars)

    def restore(self, arrays: Mapping[str, np.ndarray], scalars: Mapping[str, float]) -> None:
        """Take over a saved state.

        Raises:
            ValueError: if arrays are missing, unknown, or of another shape. Nothing is changed then.
        """
        slots.restore(self.state(), arrays)
        self.set_scalars(scalars)

    # -- the learning rate --------------------------------------------------------------------------------------------

    @property
    def _rate(self) -> np.ndarray | None:
        """The place of the learning rate in the state; None where it has none."""
        return next((array for name, array in self.state().items() if name.endswith(_INJECTED)), None)

    @property
    def learning_rate(self) -> float:
        """That of the next update, where the state has it; NaN where it is within optax's functions."""
        return float("nan") if self._rate is None else float(self._rate[0])

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if self._rate is None:
            raise TypeError(
                "this optimizer's learning rate is within optax's functions, hence not settable: make it, say, by"
                f" optax.inject_hyperparams(optax.adam)(learning_rate=0.001). Received: {value!r}"
            )
        self._rate[0] = float(value)

    def numbers(self) -> dict[str, float]:
        """Return the learning rate, where it is in the state."""
        return {} if self._rate is None else {_RATE: self.learning_rate}

    def set_numbers(self, numbers: Mapping[str, float]) -> None:
        """Set the learning rate to what was agreed."""
        if self._rate is not None and _RATE in numbers:
            self.learning_rate = numbers[_RATE]

    def settings(self) -> dict[str, Any]:
        """Return nothing: all else is within optax's functions."""
        return {}

    def set_settings(self, settings: Mapping[str, Any]) -> None:
        """Do nothing."""
