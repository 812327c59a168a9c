"""Adam with decoupled weight decay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distfit.optimizers.adam import Adam
from distfit.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from distfit.optimizers.arguments import SharedArguments


class AdamW(Adam):
    """`Adam` that shrinks the weights by itself, and not through the gradient (Loshchilov and Hutter, 2019).

    Args:
        learning_rate: a number, or a `schedules.LearningRateSchedule`.
        weight_decay: each step shrinks the weights by this fraction, times the learning rate.
        beta_1: how much of the average of gradients a step keeps.
        beta_2: how much of the average of their squares a step keeps.
        epsilon: keeps the divisor from zero; the paper's epsilon hat, as in Keras.
        amsgrad: divide by the largest average so far (Reddi et al., 2018).
        others: see `SharedArguments`.

    Raises:
        ValueError: if `weight_decay` is None: that is Adam.

    Example:
        >>> import numpy as np
        >>> from distfit import optimizers
        >>> optimizer = optimizers.AdamW(0.1, weight_decay=0.5)
        >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
        >>> segments = [optimizers.Segment("dense/kernel", 0, 1), optimizers.Segment("dense/bias", 1, 2)]
        >>> optimizer.build(2, "float64", segments)
        >>> weights = np.ones(2)
        >>> optimizer.apply(weights, np.zeros(2), divisor=1)
        >>> weights.tolist()
        [0.95, 1.0]
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **others: Unpack[SharedArguments],
    ) -> None:
        if weight_decay is None:
            raise ValueError("`weight_decay` must be a float. For no weight decay use Adam. Received: None")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **others)
