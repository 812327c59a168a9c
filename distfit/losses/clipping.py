"""Probabilities kept away from 0 and 1, at which the cross-entropy is infinite."""

import numpy as np

EPSILON = 1e-7  # Keras's


def clip_probabilities(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities cut off at ``EPSILON`` and ``1 - EPSILON``, and where nothing was cut off.

    Args:
        probabilities: of any shape.

    Returns:
        The clipped probabilities, and booleans of the same shape: the derivative of the clipping.
    """
    clipped = np.clip(probabilities, EPSILON, 1 - EPSILON)
    return clipped, clipped == probabilities
