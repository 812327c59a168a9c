"""The engine of Keras models, on Keras's JAX backend."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

try:
    import keras
except ImportError as error:
    raise ImportError(
        "KerasModel needs Keras on JAX: pip install 'distfit-mpi[keras]', and set KERAS_BACKEND=jax"
    ) from error

if keras.config.backend() != "jax":
    raise ImportError(
        f"KerasModel runs on Keras's JAX backend, but this program has imported it with {keras.config.backend()!r}: set"
        " KERAS_BACKEND=jax before the first import of keras"
    )

import jax

from distfit.engines.jax import JaxEngine
from distfit.engines.keras_layers import make_invariant
from distfit.engines.keras_loss import KerasLoss
from distfit.engines.keras_metric import KerasMetric
from distfit.engines.keras_names import named
from distfit.engines.keras_optimizer import KerasOptimizer
from distfit.engines.updater import Updater
from distfit.engines.values import LossValue, Variable


class KerasEngine(JaxEngine):
    """Runs a model of Keras, whose loss, optimizer and metrics are those with which it was compiled, or others.

    Args:
        model: built.
        invariant: whether batch normalization sees the global batch, and dropout draws by row; see `make_invariant`.

    Attributes:
        model: the user's. What was learned stands in it behind a training, and whenever it is saved.

    Raises:
        TypeError: if it is no model of Keras, or its parameters have several dtypes.
        ValueError: if it is not built, passes masks, or adds to the loss otherwise than by regularizers of weights.
    """

    def __init__(self, model: keras.Model, *, invariant: bool = True) -> None:
        _check(model)
        self.model = model
        self._rng: Any = None
        unused = make_invariant(model, lambda: self._rng) if invariant else []
        frozen = {
            id(v) for layer in model._flatten_layers() for v in layer._trainable_variables if not v.trainable
        }
        of_metrics = {id(v) for v in model.metrics_variables}
        variables = [v for v in model.variables if id(v) not in of_metrics]
        self._constants = {id(v): v for v in unused}
        self._of_params = [v for v in variables if v.trainable or id(v) in frozen]
        known = {*map(id, self._of_params), *self._constants}
        self._of_state = [v for v in variables if id(v) not in known]
        trained = {str(i) for i, v in enumerate(self._of_params) if v.trainable}
        super().__init__(
            self._call,
            [np.asarray(v.value) for v in self._of_params],
            state=[np.asarray(v.value) for v in self._of_state],
            trainable=trained.__contains__,
            output_shape=_without_rows(model.output_shape),
        )
        names = dict(zip(map(id, variables), named([v.path for v in variables]), strict=True))
        self._params.names = [names[id(v)] for v in self._of_params]
        self._state.names = [names[id(v)] for v in self._of_state]
        self._order = {name: number for number, name in enumerate(names.values())}
        self._regularized = jax.jit(jax.value_and_grad(self._penalty))

    def _call(self, params: Any, x: Any, *, state: Any, training: bool, rng: Any) -> tuple[Any, Any]:
        """Return the model's output, and the new state."""
        values = {
            **{i: v.value for i, v in self._constants.items()},
            **dict(zip(map(id, self._of_params), params, strict=True)),
            **dict(zip(map(id, self._of_state), state, strict=True)),
        }
        others = self.model.non_trainable_variables
        self._rng = rng
        try:
            output, new = self.model.stateless_call(
                [values[id(v)] for v in self.model.trainable_variables],
                [values[id(v)] for v in others],
                x,
                training=training,
            )
        finally:
            self._rng = None
        values |= dict(zip(map(id, others), new, strict=True))
        return output, [values[id(v)] for v in self._of_state]

    @property
    def variables(self) -> list[Variable]:
        return sorted(super().variables, key=lambda variable: self._order[variable.name])

    # -- what compile is given ----------------------------------------------------------------------------------------

    def read_optimizer(self, identifier: Any) -> Updater:
        """Return one of Keras's, by name or object; or one of distfit's, or of optax's."""
        if isinstance(identifier, str):
            identifier = keras.optimizers.get(identifier)
        if not isinstance(identifier, keras.optimizers.Optimizer):
            return super().read_optimizer(identifier)
        variables = self.model.trainable_variables
        names = [
            name for name, is_trained in zip(self._params.names, self._trained, strict=True) if is_trained
        ]
        return KerasOptimizer(identifier, variables, names, self._params, self._gradients, self._trained)

    def read_loss(self, identifier: Any) -> Any:
        """Return what the model was compiled with, or one of Keras's, with which it then is; or one of distfit's."""
        if isinstance(identifier, KerasLoss):
            return identifier
        if isinstance(identifier, (str, keras.losses.Loss, dict, list)):
            self.model.compile(optimizer=self.model.optimizer or "sgd", loss=identifier)
            return KerasLoss(self.model)
        return super().read_loss(identifier)

    def read_metric(self, identifier: Any) -> Any:
        """Return one of Keras's, by object; names, and distfit's own, as they are."""
        return KerasMetric(identifier) if isinstance(identifier, keras.metrics.Metric) else identifier

    def loss_value(self, loss: Any, y: Any, y_pred: Any, sample_weight: Any) -> LossValue:
        if isinstance(loss, KerasLoss):
            return loss.value(y, y_pred, sample_weight)
        return super().loss_value(loss, y, y_pred, sample_weight)

    # -- regularizers of weights --------------------------------------------------------------------------------------

    def _penalty(self, arrays: list[Any]) -> Any:
        pairs = zip(self._of_params, arrays, strict=True)
        return sum(v.regularizer(array) for v, array in pairs if v.trainable and v.regularizer)

    @property
    def _has_regularizers(self) -> bool:
        return any(v.trainable and v.regularizer for v in self._of_params)

    def penalty(self) -> float:
        return float(self._regularized(self._params.arrays())[0]) if self._has_regularizers else 0.0

    def update(self, divisor: float) -> None:
        if self._has_regularizers:
            _, gradients = self._regularized(self._params.arrays())
            for view, gradient in zip(self._gradients.arenas[""].views, gradients, strict=True):
                np.add(view, np.asarray(gradient) * divisor, out=view)
        super().update(divisor)

    # -- Keras's own model and files ----------------------------------------------------------------------------------

    @property
    def own_metrics(self) -> list[Any]:
        """What Keras's callbacks read from it is whether larger is better: they find that nowhere else."""
        given = self.model._compile_metrics
        if given is None:
            return []
        listed = type(given)(given._user_metrics, given._user_weighted_metrics)
        rows = keras.ops.zeros((1, *np.ravel(self.output_shape)))
        listed.build(rows, rows)
        return [listed]

    @property
    def formats(self) -> tuple[str, ...]:
        return ".keras", ".weights.h5"

    def publish(self) -> None:
        """Let the user's model hold what was learned, and its optimizer its state."""
        for leaves, variables in ((self._params, self._of_params), (self._state, self._of_state)):
            for variable, value in zip(variables, leaves.tree(), strict=True):
                variable.assign(value)
        if isinstance(self._optimizer, KerasOptimizer):
            self._optimizer.publish()

    def write_file(self, path: str, *, overwrite: bool) -> None:
        if not overwrite and os.path.exists(path):  # Keras would ask on the terminal
            raise FileExistsError(f"{path} is there already, and overwrite=False")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.publish()
        if path.endswith(".keras"):
            self.model.save(path)
        else:
            self.model.save_weights(path)

    def read_file(self, path: str) -> None:
        if path.endswith(".keras"):
            self.model.set_weights(keras.models.load_model(path, compile=False).get_weights())
        else:
            self.model.load_weights(path)
        names = [*self._params.names, *self._state.names]
        read = dict(zip(names, [*self._of_params, *self._of_state], strict=True))
        for variable in self.variables:
            variable.assign(np.asarray(read[variable.name].value))


def compiled_with(model: keras.Model) -> dict[str, Any]:
    """Return what a model was compiled with, as arguments of `compile`.

    Raises:
        ValueError: if it has metrics for each of several outputs.
    """
    given = model._compile_metrics
    metrics = {
        "metrics": given._user_metrics if given else None,
        "weighted_metrics": given._user_weighted_metrics if given else None,
    }
    for name, several in metrics.items():
        listed = several if isinstance(several, (list, tuple)) else [several]
        if any(isinstance(one, (list, tuple, dict)) for one in listed):
            raise ValueError(f"{name} are a list, for one output. Received: {several!r}")
    return {
        **metrics,
        "optimizer": model.optimizer,
        "loss": KerasLoss(model) if model.loss is not None else None,
        "steps_per_execution": model.steps_per_execution,
    }


def _check(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise TypeError(f"a KerasModel is made of a keras.Model. Received: {type(model).__name__}")
    if not model.built:
        raise ValueError(
            f"the model {model.name!r} has no weights yet: give its first layer a keras.Input, or call it once"
        )
    if type(model).train_step is not keras.Model.train_step:
        raise ValueError(
            f"{type(model).__name__}.train_step would not be called: the step is distfit's, in which the ranks agree."
            " Take it out; compute_loss may stay"
        )
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False):
            raise ValueError(
                f"the layer {layer.name!r} passes a mask on, which the loss would not see: leave it out, and give rows"
                " a sample_weight, or compute masks within the layers"
            )
        if getattr(layer, "activity_regularizer", None) is not None or layer._losses:
            raise ValueError(
                f"the layer {layer.name!r} adds to the loss what depends on its rows, which is no sum over ranks: leave"
                " activity_regularizer and add_loss out. Regularizers of weights are fine"
            )


def _without_rows(shape: Any) -> Any:
    """Return the shape of one row; a list of them where the model has several outputs."""
    if isinstance(shape, dict):
        return [tuple(one[1:]) for one in shape.values()]
    if isinstance(shape, list):
        return [tuple(one[1:]) for one in shape]
    return tuple(shape[1:])
