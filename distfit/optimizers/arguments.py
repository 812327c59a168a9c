"""The arguments that all optimizers share, under Keras's names, and what they may be."""

import functools
import inspect
from numbers import Real
from typing import Any, TypedDict

from distfit.optimizers.schedules import LearningRateSchedule


class SharedArguments(TypedDict, total=False):
    """What every optimizer takes by name, besides its own arguments.

    Attributes:
        clipnorm: the gradient of each parameter is scaled down to this L2 norm at most.
        clipvalue: each element of the gradient is clipped to ``[-clipvalue, clipvalue]``.
        global_clipnorm: the whole gradient is scaled down to this L2 norm at most. Of the three, one may be
            set.
        use_ema: keep an exponential moving average of the weights.
        ema_momentum: ``average = ema_momentum * average + (1 - ema_momentum) * weights`` after each step.
        ema_overwrite_frequency: after so many steps the average replaces the weights; None for never.
        gradient_accumulation_steps: the trainer makes one update for so many batches; None for one a batch.
        name: of the optimizer. Defaults to its class's name, in lower case.
    """

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    gradient_accumulation_steps: int | None
    name: str | None


class OptimizerArguments(SharedArguments, total=False):
    """The same, for optimizers that do not name weight decay among their own arguments.

    Attributes:
        weight_decay: each step shrinks the weights by this fraction, times the learning rate. None for no
            decay.
    """

    weight_decay: float | None


def check_learning_rate(value: Any) -> float | LearningRateSchedule:
    """Return a learning rate as a float, and a schedule as it is.

    Raises:
        ValueError: for anything else.

    Ranks: local.
    """
    if isinstance(value, LearningRateSchedule):
        return value
    if isinstance(value, Real):
        return float(value)
    raise ValueError(
        "`learning_rate` should be a number, or an instance of LearningRateSchedule. "
        f"Received: learning_rate={value!r}"
    )


def check_clips(**clips: float | None) -> None:
    """Raise unless at most one clip is set, and that to a positive number.

    Raises:
        ValueError: otherwise.

    Ranks: local.
    """
    given = {name: value for name, value in clips.items() if value is not None}
    received = ", ".join(f"{name}={value}" for name, value in clips.items())
    if len(given) > 1:
        raise ValueError(
            f"Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: {received}"
        )
    if any(not value > 0 for value in given.values()):
        raise ValueError(
            f"a gradient is clipped to a positive number, or with None not at all. Received: {received}"
        )


def check_average(momentum: float, overwrite_frequency: Any) -> None:
    """Raise unless the moving average's momentum and frequency make sense.

    Raises:
        ValueError: if the momentum is outside [0, 1], or the frequency neither None nor an integer of 1 or
            more.

    Ranks: local.
    """
    if not 0 <= momentum <= 1:
        raise ValueError(f"`ema_momentum` must be in the range [0, 1]. Received: ema_momentum={momentum}")
    if overwrite_frequency is not None and (
        not isinstance(overwrite_frequency, int) or overwrite_frequency < 1
    ):
        raise ValueError(
            "`ema_overwrite_frequency` must be an integer >= 1 or None. "
            f"Received: ema_overwrite_frequency={overwrite_frequency!r}"
        )


def check_accumulation(steps: Any) -> None:
    """Raise unless the number of batches for one update is None or an integer of 2 or more.

    Raises:
        ValueError: otherwise.

    Ranks: local.
    """
    if steps is not None and (not isinstance(steps, int) or steps < 2):
        raise ValueError(
            "`gradient_accumulation_steps` must be an integer >= 2, or None for an update at each batch. "
            f"Received: gradient_accumulation_steps={steps!r}"
        )


@functools.cache
def names_of(kind: type, base: type) -> tuple[str, ...]:
    """Return the names of the arguments of a class, and of those from which it derives, up to a base.

    Ranks: local.
    """
    signatures = [inspect.signature(one) for one in kind.__mro__ if issubclass(one, base)]
    return tuple(dict.fromkeys(name for signature in signatures for name in signature.parameters))
