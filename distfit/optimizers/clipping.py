"""Gradient clipping: of each element, of each parameter's gradient, or of the whole.

The gradients are sums, and what would make them means, `scale`, is folded into what the update multiplies by
anyway. So each function takes a scale, and returns the one with which the update has to go on.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from distfit.optimizers.norms import squared_norm
from distfit.optimizers.parts import alone


def clip_by_value(parts: Sequence[np.ndarray], scale: float, limit: float) -> float:
    """Clip each element of ``scale * part`` to ``[-limit, limit]``, in place.

    Args:
        parts: one parameter's gradient each.
        scale: positive.
        limit: positive.

    Returns:
        The scale.

    Ranks: local.
    """
    for part in parts:
        np.clip(part, -limit / scale, limit / scale, out=part)
    return scale


def clip_by_norm(parts: Sequence[np.ndarray], scale: float, limit: float, scratch: np.ndarray) -> float:
    """Scale each ``scale * part`` down to the L2 norm `limit`, in place, where its norm is larger.

    Args:
        parts: one parameter's gradient each.
        scale: positive.
        limit: positive.
        scratch: float64, for `squared_norm`.

    Returns:
        The scale.

    Ranks: local.
    """
    for part in parts:
        shrink = _shrink(scale * math.sqrt(squared_norm(part, scratch)), limit)
        if shrink != 1.0:
            np.multiply(part, shrink, out=part)
    return scale


def clip_by_global_norm(
    parts: Sequence[np.ndarray],
    scale: float,
    limit: float,
    scratch: np.ndarray,
    add_up: Callable[[float], float] = alone,
) -> float:
    """Return the scale that brings the L2 norm of all parts together down to `limit` (Pascanu et al., 2013).

    Args:
        parts: one parameter's gradient each. They are left as they are.
        scale: positive.
        limit: positive.
        scratch: float64, for `squared_norm`.
        add_up: returns the sum of this number over all ranks that hold other parts of the gradient.

    Returns:
        `scale`, or less.

    Ranks: local, but for `add_up`.
    """
    total = add_up(math.fsum(squared_norm(part, scratch) for part in parts))
    return scale * _shrink(scale * math.sqrt(total), limit)


def clip(
    parts: Sequence[np.ndarray],
    scale: float,
    limits: tuple[float | None, float | None, float | None],
    scratch: np.ndarray,
    add_up: Callable[[float], float] = alone,
) -> float:
    """Clip by the first limit that is set: of an element, of a parameter's norm, of the norm of all.

    Args:
        parts: as in the functions above, and so are those that follow.
        scale: positive.
        limits: in that order.
        scratch: float64.
        add_up: for the norm of all.

    Returns:
        The scale with which the update goes on.

    Ranks: local, but for `add_up`.
    """
    of_element, of_parameter, of_all = limits
    if of_element is not None:
        return clip_by_value(parts, scale, of_element)
    if of_parameter is not None:
        return clip_by_norm(parts, scale, of_parameter, scratch)
    return scale if of_all is None else clip_by_global_norm(parts, scale, of_all, scratch, add_up)


def _shrink(norm: float, limit: float) -> float:
    # Zero times infinity would hide what went wrong in all elements but one: as in Keras, all become NaN.
    if not math.isfinite(norm):
        return math.nan
    return limit / norm if norm > limit else 1.0
