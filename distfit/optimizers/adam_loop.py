"""Adam's step in one pass over the elements, compiled by Numba where that is installed.

NumPy makes a pass over a chunk for each operation, twelve of them; a loop makes one for all but the last, which changes
the weights, and both take a fifth of the time. Operations, their order and their rounding are NumPy's: weights are
equal to the last bit with Numba and without, so that it does not matter whether all ranks have it.
"""

import importlib.util
import warnings
from collections.abc import Callable

import numpy as np

# Elements of an arena. With fewer, only a long training would earn back the second that Numba takes to start.
SMALLEST = 262_144
_compiled: dict[np.dtype, Callable[..., None]] = {}


def prepare(dtype: np.dtype) -> None:
    """Compile the loop now, and not within a step. Without Numba, do nothing.

    Args:
        dtype: float32 or float64, of arrays and numbers.
    """
    if dtype in _compiled or importlib.util.find_spec("numba") is None:
        return
    try:
        import numba

        if numba.config.DISABLE_JIT:
            return
        # No fast math, which rounds otherwise than NumPy; and a division by zero is no error, as it is none there.
        loop = numba.njit(error_model="numpy", nogil=True)(_update)
        loop(*np.zeros((4, 1), dtype), *np.zeros(6, dtype))
    except Exception as error:  # whatever is wrong with it, there is another way
        warnings.warn(
            f"Numba cannot compile here, and Adam goes on without it ({error}). Install a version of it that fits "
            f"NumPy {np.__version__}, or none",
            RuntimeWarning,
            stacklevel=2,
        )
    else:
        _compiled[dtype] = loop


def run(
    step: np.ndarray,
    gradients: np.ndarray,
    momentum: np.ndarray,
    velocity: np.ndarray,
    *numbers: float,
) -> bool:
    """Update the moments, and write the step that the weights take, if the loop was prepared; return whether it was.

    Args:
        step: of the weights, to be subtracted from them. The loop does not do that itself: ranks of a machine hold one
            copy of the weights, and the others' caches have to give up each line that is written. Where nothing
            comes in between, a core asks for many of them at a time.
        gradients: and all that follows, as `_update` has it.
        momentum: updated.
        velocity: updated.
        numbers: rounded to the arrays' dtype, as NumPy does with those that it meets beside an array.
    """
    loop = _compiled.get(step.dtype)
    if loop is None:
        return False
    loop(step, gradients, momentum, velocity, *map(step.dtype.type, numbers))
    return True


def _update(
    step: np.ndarray,
    gradients: np.ndarray,
    momentum: np.ndarray,
    velocity: np.ndarray,
    beta_1: float,
    beta_2: float,
    to_momentum: float,
    to_velocity: float,
    epsilon: float,
    alpha: float,
) -> None:
    """Do what `moments.update_moments` does, and what `moments.descend_by_moments` does before it changes weights."""
    for i in range(step.size):
        root = gradients[i] * to_velocity
        v = velocity[i] * beta_2 + root * root
        m = momentum[i] * beta_1 + gradients[i] * to_momentum
        velocity[i] = v
        momentum[i] = m
        step[i] = m / (np.sqrt(v) + epsilon) * alpha
