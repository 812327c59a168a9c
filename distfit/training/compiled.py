"""What `compile` was given, looked up and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distfit import losses, metrics, optimizers
from distfit.losses import Loss
from distfit.metrics import Metric
from distfit.optimizers import Optimizer
from distfit.training.scores import Scores
from distfit.utils.configured import describe


@dataclass(slots=True)
class Compiled:
    """What `compile` was given.

    Attributes:
        optimizer: changes the weights.
        loss: what is minimised, or None.
        metrics: names, functions and objects, as given.
        weighted_metrics: the same, for those that use sample weights.
        steps_per_execution: batches between two calls of batch hooks.
        gradient_accumulation_steps: batches between two updates.
    """

    optimizer: Optimizer
    loss: Loss | None
    metrics: list[Any]
    weighted_metrics: list[Any]
    steps_per_execution: int
    gradient_accumulation_steps: int

    @classmethod
    def of(
        cls,
        optimizer: Any,
        loss: Any,
        metric_names: Any,
        weighted_metrics: Any,
        steps_per_execution: int,
        gradient_accumulation_steps: int | None,
    ) -> Compiled:
        """Look everything up.

        Raises:
            ValueError: for an unknown name, or a count that is not positive.
        """
        found: Optimizer = optimizers.get(optimizer)
        accumulation = gradient_accumulation_steps or found.gradient_accumulation_steps or 1
        for name, count in (
            ("steps_per_execution", steps_per_execution),
            ("gradient_accumulation_steps", accumulation),
        ):
            if count < 1:
                raise ValueError(f"{name} is at least 1. Received: {count}")
        compiled = cls(
            found,
            None if loss is None else losses.get(loss),
            _listed(metric_names),
            _listed(weighted_metrics),
            steps_per_execution,
            accumulation,
        )
        compiled.resolve(None)  # a wrong name is better told here than when the model is built
        return compiled

    def describe(self) -> str:
        """Return all of it as text that is equal for equal arguments, on whichever rank."""
        parts = (
            self.optimizer,
            self.loss,
            self.metrics,
            self.weighted_metrics,
            self.steps_per_execution,
            self.gradient_accumulation_steps,
        )
        return describe(parts)

    def resolve(self, output_shape: tuple[int, ...] | None) -> tuple[list[Metric], list[Metric]]:
        """Make the metrics, for an output of that row shape, or just look their names up where it is not known."""
        plain, weighted = (
            [metrics.get(m, loss=self.loss, output_shape=output_shape) for m in given]
            for given in (self.metrics, self.weighted_metrics)
        )
        names = [metric.name for metric in [*plain, *weighted]]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ValueError(
                f"two metrics have the name {', '.join(sorted(repeated))}: give them a name= that differs"
            )
        return plain, weighted

    def scores(self, output_shape: tuple[int, ...]) -> Scores:
        """Return scores that have seen no row."""
        return Scores(*self.resolve(output_shape))


def _listed(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, (list, tuple)) else [given]
