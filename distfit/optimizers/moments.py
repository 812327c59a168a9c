"""The moving averages of gradients and their squares on which Adam, AdamW and LAMB rest."""

import math

import numpy as np

from distfit.optimizers import adam_loop
from distfit.optimizers.arena import Chunk, Step


def moment_slots(amsgrad: bool) -> dict[str, float]:
    """Return the slots, all of which start from zero."""
    return {"momentum": 0.0, "velocity": 0.0, **({"velocity_hat": 0.0} if amsgrad else {})}


def take_adam_step(chunk: Chunk, step: Step, beta_1: float, beta_2: float, epsilon: float) -> None:
    """Update the averages and descend by them: in one pass where that was prepared, and there is no third average."""
    weights, scratch, slots = chunk.weights, chunk.scratch, chunk.slots
    # Beside an array, NumPy rounds Python's numbers to its type, as the loop does; its own, of float64, it does not.
    beta_1, beta_2, epsilon = float(beta_1), float(beta_2), float(epsilon)
    in_one_pass = "velocity_hat" not in slots and adam_loop.run(
        scratch,
        chunk.gradients,
        slots["momentum"],
        slots["velocity"],
        beta_1,
        beta_2,
        (1.0 - beta_1) * step.gradient_scale,
        math.sqrt(1.0 - beta_2) * step.gradient_scale,
        epsilon,
        adam_rate(step, beta_1, beta_2),
    )
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # of which the loop does not tell
        if in_one_pass:
            weights -= scratch
        else:
            update_moments(chunk, step, beta_1, beta_2)
            descend_by_moments(chunk, step, beta_1, beta_2, epsilon)


def adam_rate(step: Step, beta_1: float, beta_2: float) -> float:
    """Return the learning rate, corrected for the bias that the averages have from starting at zero.

    It is ``learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)`` (Kingma and Ba, 2015, before section 2.1).
    """
    return step.learning_rate * math.sqrt(1.0 - beta_2**step.number) / (1.0 - beta_1**step.number)


def update_moments(chunk: Chunk, step: Step, beta_1: float, beta_2: float) -> None:
    """Update ``m = beta_1 * m + (1 - beta_1) * g`` and ``v = beta_2 * v + (1 - beta_2) * g**2``.

    The gradient's scale is folded into the factors of g, so that it costs no pass of its own. The chunk's
    gradients are overwritten.
    """
    gradients, scratch = chunk.gradients, chunk.scratch
    momentum, velocity = chunk.slots["momentum"], chunk.slots["velocity"]
    # Operators in place: without the keyword `out` a call takes half the time, and there are hundreds in an update.
    np.multiply(gradients, math.sqrt(1.0 - beta_2) * step.gradient_scale, scratch)
    scratch *= scratch
    velocity *= beta_2
    velocity += scratch
    # Not in place: the gradients would go from the cache to memory again, and nobody reads them there.
    np.multiply(gradients, (1.0 - beta_1) * step.gradient_scale, scratch)
    momentum *= beta_1
    momentum += scratch


def descend_by_moments(chunk: Chunk, step: Step, beta_1: float, beta_2: float, epsilon: float) -> None:
    """Take Adam's step, ``w -= alpha * m / (sqrt(v) + epsilon)`` (Kingma and Ba, 2015, before section 2.1).

    There alpha is the corrected learning rate, and epsilon is what the paper calls epsilon hat. Where there is a
    slot ``velocity_hat``, the largest v so far takes v's place (Reddi et al., 2018).
    """
    weights, scratch, velocity = chunk.weights, chunk.scratch, chunk.slots["velocity"]
    if "velocity_hat" in chunk.slots:
        largest = chunk.slots["velocity_hat"]
        np.maximum(largest, velocity, out=largest)
        velocity = largest
    np.sqrt(velocity, scratch)
    scratch += epsilon
    np.divide(chunk.slots["momentum"], scratch, scratch)
    scratch *= adam_rate(step, beta_1, beta_2)
    weights -= scratch
