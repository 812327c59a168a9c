"""Layers of Keras that do the same on any number of ranks: their own call, with other means and other draws.

A layer stays the object that it was, so that a file of the model is one of Keras's. Outside of a training under
distfit it does what it did.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import jax
import keras

from distfit.engines.jax_batch import mean_over_batch
from distfit.engines.jax_rows import dropout

_DROPOUTS = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)


def make_invariant(model: keras.Model, keys_of_rows: Callable[[], Any]) -> list[Any]:
    """Let batch normalization see the global batch, and dropout draw by row.

    Args:
        model: whose layers these are.
        keys_of_rows: returns, within the pass under way, a key for each row; None outside of one.

    Returns:
        The seeds of layers that no longer draw from them.
    """
    seeds = []
    for number, layer in enumerate(model._flatten_layers()):
        if type(layer) is keras.layers.BatchNormalization:
            layer._moments = MethodType(_global_moments, layer)
        elif type(layer) in _DROPOUTS and layer.rate > 0:
            layer.call = MethodType(_by_row(number, layer.call, keys_of_rows), layer)
            seeds.append(layer.seed_generator.state)
    return seeds


def _global_moments(layer: Any, inputs: Any, mask: Any) -> tuple[Any, Any]:  # noqa: ARG001 - there are no masks
    """Return mean and variance by the global batch."""
    others = tuple(axis for axis in layer._reduction_axes if axis != 0)

    def mean(values: Any) -> Any:
        return mean_over_batch(values.mean(others, keepdims=True) if others else values)

    shift = mean(inputs)
    variance = mean((inputs - shift) ** 2)
    return shift.reshape(-1), variance.reshape(-1)


def _by_row(number: int, own: Callable[..., Any], keys_of_rows: Callable[[], Any]) -> Callable[..., Any]:
    def call(layer: Any, inputs: Any, training: bool = False) -> Any:
        keys = keys_of_rows()
        if keys is None or not training:
            return own(inputs, training=training)
        shape = layer._get_noise_shape(inputs) if hasattr(layer, "_get_noise_shape") else layer.noise_shape
        kept = tuple(size or inputs.shape[axis] for axis, size in enumerate(shape or inputs.shape))
        of_layer = jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)
        return inputs * dropout(of_layer, layer.rate, keras.ops.ones(kept, inputs.dtype))

    return call
