"""Activation functions as layers."""

from abc import abstractmethod
from typing import Any

import numpy as np

from distfit import config
from distfit.layers import activations
from distfit.layers.context import Context
from distfit.layers.layer import Backward, Layer


class ActivationLayer(Layer):
    """Base of layers that apply one function and have no weights."""

    @abstractmethod
    def activate(self, x: np.ndarray) -> activations.Activated:
        """Return the function's output for x, and its backward."""

    def forward(self, x: np.ndarray, context: Context) -> tuple[np.ndarray, Backward]:  # noqa: ARG002
        """Compute `activate` in `config.floatx`."""
        return self.activate(np.asarray(x, config.floatx()))


class Activation(ActivationLayer):
    """An activation function by its name.

    Args:
        activation: a name of `distfit.layers.activations`, or a function like those there.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Example:
        >>> import numpy as np
        >>> from distfit import layers
        >>> y, _ = layers.Activation("tanh").forward(np.zeros((1, 2)), layers.lone_context(rows=1))
        >>> y.tolist()
        [[0.0, 0.0]]
    """

    def __init__(self, activation: str | activations.Activation, **options: Any) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)

    def activate(self, x: np.ndarray) -> activations.Activated:
        """Return the function's output for x, and its backward."""
        return self.activation(x)


class ReLU(ActivationLayer):
    """Rectified linear unit: see `activations.relu`.

    Args:
        max_value: the largest output, or None for no bound.
        negative_slope: of the part below the threshold.
        threshold: from which on x passes.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Raises:
        ValueError: for a negative argument.

    Example:
        >>> import numpy as np
        >>> from distfit import layers
        >>> x = np.array([[-1.0, 3.0, 9.0]])
        >>> layers.ReLU(max_value=6).forward(x, layers.lone_context(rows=1))[0].tolist()
        [[0.0, 3.0, 6.0]]
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        given = {"max_value": max_value, "negative_slope": negative_slope, "threshold": threshold}
        for name, value in given.items():
            if value is not None and value < 0:
                raise ValueError(f"{name} of ReLU is not negative. Received: {name}={value}")
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def activate(self, x: np.ndarray) -> activations.Activated:
        """Return the function's output for x, and its backward."""
        return activations.relu(x, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(ActivationLayer):
    """Leaky rectified linear unit: see `activations.leaky_relu`.

    Args:
        negative_slope: of the part below zero.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Example:
        >>> import numpy as np
        >>> from distfit import layers
        >>> x = np.array([[-2.0, 2.0]])
        >>> layers.LeakyReLU(0.5).forward(x, layers.lone_context(rows=1))[0].tolist()
        [[-1.0, 2.0]]
    """

    def __init__(self, negative_slope: float = 0.3, **options: Any) -> None:
        super().__init__(**options)
        self.negative_slope = negative_slope

    def activate(self, x: np.ndarray) -> activations.Activated:
        """Return the function's output for x, and its backward."""
        return activations.leaky_relu(x, self.negative_slope)


class ELU(ActivationLayer):
    """Exponential linear unit: see `activations.elu`.

    Args:
        alpha: minus the limit for very negative inputs.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Example:
        >>> import numpy as np
        >>> from distfit import layers
        >>> x = np.array([[-100.0, 2.0]])
        >>> layers.ELU().forward(x, layers.lone_context(rows=1))[0].tolist()
        [[-1.0, 2.0]]
    """

    def __init__(self, alpha: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.alpha = alpha

    def activate(self, x: np.ndarray) -> activations.Activated:
        """Return the function's output for x, and its backward."""
        return activations.elu(x, self.alpha)


class Softmax(ActivationLayer):
    """Exponentials that sum to one: see `activations.softmax`.

    Args:
        axis: over which they sum to one; the batch is axis 0.
        **options: `name`, `trainable`, `input_shape`: see `Layer`.

    Raises:
        ValueError: for the batch's axis.

    Example:
        >>> import numpy as np
        >>> from distfit import layers
        >>> layers.Softmax().forward(np.zeros((1, 2)), layers.lone_context(rows=1))[0].tolist()
        [[0.5, 0.5]]
    """

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        if axis == 0:
            raise ValueError(
                "Softmax cannot sum over the batch, whose rows are on several ranks. Received: axis=0"
            )
        self.axis = axis

    def activate(self, x: np.ndarray) -> activations.Activated:
        """Return the function's output for x, and its backward."""
        return activations.softmax(x, self.axis)
