"""Activation functions under Keras's names: each returns its output and its backward.

No backward looks at the input again, so that a layer may let the function overwrite what it computed:
``activation(z, out=z)``. A function of your own takes the same two arguments, and may ignore `out`.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from distfit.layers.error_function import erf
from distfit.layers.layer import Backward
from distfit.utils.lookup import lookup

Activated = tuple[np.ndarray, Backward]
Activation = Callable[..., Activated]

_SHORT = 32  # numbers of a row: with fewer, comparing it with another row costs more than it saves


def linear(x: np.ndarray, out: np.ndarray | None = None) -> Activated:  # noqa: ARG001
    """Return the input itself."""
    return x, _same


def relu(
    x: np.ndarray,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
    *,
    out: np.ndarray | None = None,
) -> Activated:
    """Rectify: x from `threshold` on, ``negative_slope * (x - threshold)`` below it, at most `max_value`.

    Args:
        x: any shape, float32 or float64.
        negative_slope: of the part below the threshold.
        max_value: the largest output, or None for no bound.
        threshold: from which on x passes.
        out: an array of x's shape and type for the output, x itself included.

    Example:
        >>> import numpy as np
        >>> from distfit.layers import activations
        >>> y, backward = activations.relu(np.array([-1.0, 2.0]))
        >>> y.tolist(), backward(np.array([5.0, 5.0])).tolist()
        ([0.0, 2.0], [0.0, 5.0])
    """
    if negative_slope == 0 and max_value is None and threshold == 0:
        # With zeros for a row, unless it is short: NumPy compares with one number for all at less than half the speed.
        is_short = math.prod(x.shape[1:]) < _SHORT
        rectified = np.maximum(x, 0 if is_short else np.zeros(x.shape[1:], x.dtype), out=out)

        def backward(dy: np.ndarray) -> np.ndarray:
            # The mask as numbers, then in place: a fifth faster than a product of numbers with booleans.
            dx: np.ndarray = (rectified > 0).astype(dy.dtype)
            dx *= dy
            return dx

        return rectified, backward
    slope = np.where(x < threshold, x.dtype.type(negative_slope), x.dtype.type(1))
    below = negative_slope * (x - threshold) if negative_slope else x.dtype.type(0)
    y = np.where(x < threshold, below, x)
    if max_value is not None:
        slope *= y < max_value
        np.minimum(y, max_value, out=y)
    return y, lambda dy: dy * slope


def leaky_relu(x: np.ndarray, negative_slope: float = 0.2, *, out: np.ndarray | None = None) -> Activated:
    """Return x where it is positive, ``negative_slope * x`` elsewhere (Maas et al., 2013)."""
    return relu(x, negative_slope, out=out)


def elu(x: np.ndarray, alpha: float = 1.0, *, out: np.ndarray | None = None) -> Activated:
    """Return x where it is positive, ``alpha * (exp(x) - 1)`` elsewhere (Clevert et al., 2015)."""
    positive = x > 0
    y = np.expm1(np.minimum(x, 0))
    y *= alpha
    slope = np.where(positive, x.dtype.type(1), y + alpha)
    np.copyto(y, x, where=positive)
    return _into(y, out), lambda dy: dy * slope


def gelu(x: np.ndarray, approximate: bool = False, *, out: np.ndarray | None = None) -> Activated:
    """Return x times the probability that a standard normal number is smaller (Hendrycks and Gimpel, 2016).

    Args:
        x: any shape, float32 or float64.
        approximate: by tanh, as the paper does, instead of by the error function.
        out: an array of x's shape and type for the output, x itself included.
    """
    if approximate:
        factor = math.sqrt(2 / math.pi)
        bent = np.tanh(factor * (x + 0.044715 * x**3))
        below = 0.5 * (1 + bent)
        slope = below + 0.5 * x * (1 - bent * bent) * factor * (1 + 3 * 0.044715 * x * x)
    else:
        below = 0.5 * (1 + erf(x * math.sqrt(0.5)))
        slope = below + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return np.multiply(x, below, out=out), lambda dy: dy * slope


def sigmoid(x: np.ndarray, out: np.ndarray | None = None) -> Activated:
    """Return ``1 / (1 + exp(-x))``."""
    y = _into(_logistic(x), out)
    return y, lambda dy: dy * y * (1 - y)


def silu(x: np.ndarray, out: np.ndarray | None = None) -> Activated:
    """Return ``x * sigmoid(x)``, also called swish (Ramachandran et al., arXiv:1710.05941, 2017)."""
    gate = _logistic(x)
    y = np.multiply(x, gate, out=out)
    return y, lambda dy: dy * (gate + y * (1 - gate))


def tanh(x: np.ndarray, out: np.ndarray | None = None) -> Activated:
    """Return the hyperbolic tangent."""
    y = np.tanh(x, out=out)
    return y, lambda dy: dy * (1 - y * y)


def softplus(x: np.ndarray, out: np.ndarray | None = None) -> Activated:
    """Return ``log(1 + exp(x))``."""
    y = np.logaddexp(x, 0, out=out)
    return y, lambda dy: dy * -np.expm1(-y)


def softmax(x: np.ndarray, axis: int = -1, *, out: np.ndarray | None = None) -> Activated:
    """Return ``exp(x)`` divided by its sum over an axis.

    Args:
        x: any shape, float32 or float64.
        axis: over which the outputs sum to 1.
        out: an array of x's shape and type for the output, x itself included.
    """
    y = np.subtract(x, x.max(axis, keepdims=True), out=out)
    np.exp(y, out=y)
    y /= y.sum(axis, keepdims=True)

    def backward(dy: np.ndarray) -> np.ndarray:
        weighted: np.ndarray = dy * y
        weighted -= y * weighted.sum(axis, keepdims=True)
        return weighted

    return y, backward


def log_softmax(x: np.ndarray, axis: int = -1, *, out: np.ndarray | None = None) -> Activated:
    """Return the logarithm of `softmax`, exact where that underflows."""
    y = np.subtract(x, x.max(axis, keepdims=True), out=out)
    y -= np.log(np.exp(y).sum(axis, keepdims=True))
    return y, lambda dy: dy - np.exp(y) * dy.sum(axis, keepdims=True)


def _same(dy: np.ndarray) -> np.ndarray:
    return dy


def _into(y: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """Return y, in `out` if there is one."""
    if out is None:
        return y
    out[...] = y
    return out


def _logistic(x: np.ndarray) -> np.ndarray:
    # Both signs go through exp(-|x|), which cannot overflow, and keeps small outputs exact.
    tail = np.exp(-np.abs(x))
    y: np.ndarray = np.where(x < 0, tail, x.dtype.type(1))
    tail += 1
    y /= tail
    return y


KNOWN: dict[str, Activation] = {
    "elu": elu,
    "gelu": gelu,
    "leaky_relu": leaky_relu,
    "linear": linear,
    "log_softmax": log_softmax,
    "relu": relu,
    "sigmoid": sigmoid,
    "silu": silu,
    "softmax": softmax,
    "softplus": softplus,
    "swish": silu,
    "tanh": tanh,
}


def get(identifier: str | Activation | None) -> Activation:
    """Return the activation of that name, or the function itself; None is `linear`.

    Raises:
        ValueError: for an unknown name; the text lists the known ones.
        TypeError: for what is neither a name nor a function.

    Ranks: local.
    """
    makers = {name: partial(_itself, function) for name, function in KNOWN.items()}
    found = lookup("linear" if identifier is None else identifier, makers, "activation")
    if not callable(found):
        raise TypeError(
            "an activation is a name such as 'relu', or a function (x, out=None) -> (y, backward). "
            f"Received: {identifier!r}"
        )
    activation: Activation = found
    return activation


def _itself(function: Activation) -> Activation:
    return function
