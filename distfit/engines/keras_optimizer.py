"""An optimizer of Keras, as training, callbacks and checkpoints see one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from distfit.engines.jax_optimizer import JaxOptimizer
from distfit.engines.jax_weights import Leaves
from distfit.engines.keras_names import named_by_weight

_PLAIN = (int, float, str, bool, type(None))


class KerasOptimizer(JaxOptimizer):
    """An optimizer of Keras, whose gradients are those of all ranks. It averages, clips and accumulates itself.

    Args:
        optimizer: of the model.
        variables: of the model that are trained.
        names: of them.
        params: of the engine: the same, and those that are frozen.
        gradients: their buffer.
        trained: which of `params` are.
    """

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        variables: list[Any],
        names: list[str],
        params: Leaves,
        gradients: Leaves,
        trained: list[bool],
    ) -> None:
        super().__init__(None, params, gradients, trained)
        if not optimizer.built:
            optimizer.build(variables)
        self.name = optimizer.name
        self.optimizer = optimizer
        self._weights = dict(zip([v.path for v in variables], names, strict=True))
        self.use_ema = bool(optimizer.use_ema)

    def get_config(self) -> dict[str, Any]:
        """Return what ranks compare."""
        return {"optimizer": type(self.optimizer).__name__, "state": self._leaves.names}

    @property
    def _leaves(self) -> Leaves:
        if self._state is None:
            variables = self.optimizer.variables
            values = [np.asarray(variable.value) for variable in variables]
            self._state = Leaves(values, "the state of the optimizer")
            self._state.names = named_by_weight([v.path for v in variables], self._weights)
        return self._state

    def _updated(
        self, params: list[Any], gradients: list[Any], state: list[Any], scale: Any
    ) -> tuple[list[Any], list[Any]]:
        def of_trained(leaves: list[Any]) -> list[Any]:
            return [leaf for leaf, is_trained in zip(leaves, self._trained, strict=True) if is_trained]

        means = [gradient * scale for gradient in of_trained(gradients)]
        weights, new = self.optimizer.stateless_apply(state, means, of_trained(params))
        changed = iter(weights)
        return [next(changed) if t else p for p, t in zip(params, self._trained, strict=True)], new

    def finalize_ema(self, parameters: np.ndarray) -> None:  # noqa: ARG002 - the leaves know
        """Put the moving average in the weights' place, where one is kept."""
        if not self.use_ema:
            return
        averages = iter(map(self._array_of, self.optimizer._model_variables_moving_average))
        arrays = self._params.arrays()
        self._params.write(
            next(averages).reshape(array.shape) if is_trained else np.asarray(array)
            for array, is_trained in zip(arrays, self._trained, strict=True)
        )

    def publish(self) -> None:
        """Let Keras's own optimizer hold the state."""
        for variable, value in zip(self.optimizer.variables, self._leaves.tree(), strict=True):
            variable.assign(value)

    # -- the learning rate --------------------------------------------------------------------------------------------

    @property
    def _schedule(self) -> Any:
        rate = self.optimizer._learning_rate
        return rate if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) else None

    @property
    def _rate(self) -> np.ndarray | None:
        rate = self.optimizer._learning_rate
        return None if self._schedule else self._array_of(rate)

    def _array_of(self, variable: Any) -> np.ndarray:
        """Return the array of one of the optimizer's variables."""
        number = next(i for i, one in enumerate(self.optimizer.variables) if one is variable)
        return self.state()[self._leaves.names[number]]

    @property
    def learning_rate(self) -> float:
        """That of the next update."""
        return float(self._schedule(self.iterations)) if self._schedule else super().learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if self._rate is None:
            raise TypeError(
                f"a {type(self._schedule).__name__} gives the learning rate, which is hence not settable: make the"
                f" optimizer with a number. Received: {value!r}"
            )
        self._rate[0] = float(value)

    def settings(self) -> dict[str, Any]:
        """Return the other options, such as a momentum; those that are compiled in from the first update on."""
        return {
            name: value
            for name, value in vars(self.optimizer).items()
            if not name.startswith("_") and isinstance(value, _PLAIN)
        }

    def set_settings(self, settings: Mapping[str, Any]) -> None:
        """Do nothing: they are those of the optimizer that each rank made."""
