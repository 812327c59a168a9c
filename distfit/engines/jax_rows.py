"""A rank's rows in JAX: what is drawn for each of them, and which of those that were computed they are."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distfit.utils.nested import map_leaves


def keys_of_rows(seed: Any, number: Any, first_row: Any, rows: int) -> Any:
    """Return a key for each row of a rank: a function of seed, step and the row's place in the global batch."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed[0]), seed[1]), number)
    return jax.vmap(partial(jax.random.fold_in, key))(first_row + jnp.arange(rows, dtype=jnp.uint32))


def dropout(rng: jax.Array, rate: float, x: jax.Array) -> jax.Array:
    """Return the array with a part of its elements zeroed, and the others scaled by ``1 / (1 - rate)``.

    Args:
        rng: ``(rows,)``, a key for each row, as the function of a `JaxModel` gets them: what is dropped from a row does
            not depend on which rank has it. In evaluation None, and nothing is dropped.
        rate: the part, from 0 up to 1.
        x: ``(rows, …)``.

    Ranks: local.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> keys = jax.vmap(jax.random.key)(jnp.arange(3))
        >>> dropped = dropout(keys, 0.5, jnp.ones((3, 8)))
        >>> bool((dropout(keys[1:], 0.5, jnp.ones((2, 8))) == dropped[1:]).all())
        True
    """
    if rng is None or rate == 0:
        return x
    kept = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - rate, x.shape[1:]))(rng)
    return jnp.where(kept, x / (1 - rate), 0)


def first(outputs: Any, rows: int) -> Any:
    """Return the rank's own rows of what was computed."""
    return map_leaves(
        lambda leaf: leaf if len(leaf) == rows else jnp.asarray(np.asarray(leaf)[:rows]), outputs
    )


def as_gradient(rows: int, output: Any, gradient: Any) -> Any:
    """Return an output's gradient as JAX wants it: of its dtype, and zero for all but the rank's own rows."""
    if gradient is None:
        return jnp.zeros_like(output)
    given = np.asarray(gradient)
    if given.shape == output.shape and given.dtype == output.dtype and len(given) == rows:
        return gradient
    padded = np.zeros(output.shape, output.dtype)
    padded[:rows] = given[:rows]
    return padded
