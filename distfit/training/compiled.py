"""What `compile` was given, looked up and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distfit import losses, metrics, optimizers
from distfit.comm.compression import COMPRESSIONS
from distfit.engines import Engine, Updater
from distfit.metrics import Metric
from distfit.training import sharded
from distfit.training.scores import Scores
from distfit.utils.configured import describe
from distfit.utils.counts import is_count

if TYPE_CHECKING:
    from distfit.training.model import Model

ON_NAN = ("ignore", "raise", "skip")
ON_DIVERGENCE = ("raise", "heal", "ignore")


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
        on_nan: what is done where loss or gradients are not finite.
        on_divergence: what is done where ranks no longer hold the same.
        divergence_every: steps between two comparisons within an epoch, or None.
        share_memory: whether ranks of one machine hold one copy of what is trained.
        compression: of what crosses machines, or None.
        overlap: whether gradients cross machines while others are computed.
        shard_optimizer: whether each machine holds a part of the optimizer's state.
    """

    optimizer: Updater
    loss: Any
    metrics: list[Any]
    weighted_metrics: list[Any]
    steps_per_execution: int
    gradient_accumulation_steps: int
    on_nan: str
    on_divergence: str
    divergence_every: int | None
    share_memory: bool
    compression: str | None
    overlap: bool
    shard_optimizer: bool

    @classmethod
    def of(
        cls,
        engine: Engine | None,
        optimizer: Any,
        loss: Any,
        metric_names: Any,
        weighted_metrics: Any,
        *,
        steps_per_execution: int,
        gradient_accumulation_steps: int | None,
        on_nan: str,
        on_divergence: str,
        divergence_every: int | None,
        share_memory: bool,
        compression: str | None,
        overlap: bool,
        shard_optimizer: bool,
    ) -> Compiled:
        """Look everything up. An engine knows more kinds than distfit's own; a model that is not built yet has none.

        Raises:
            ValueError: for an unknown name, or a count that is not positive.
        """
        found = optimizers.get(optimizer) if engine is None else engine.read_optimizer(optimizer)
        accumulation = gradient_accumulation_steps or found.gradient_accumulation_steps or 1
        for name, policy, known in (
            ("on_nan", on_nan, ON_NAN),
            ("on_divergence", on_divergence, ON_DIVERGENCE),
            ("compression", compression, tuple(COMPRESSIONS)),
        ):
            if policy not in known:
                raise ValueError(f"{name} is one of {', '.join(map(repr, known))}. Received: {policy!r}")
        if shard_optimizer:
            sharded.check(found)
            if not share_memory or compression is not None:
                raise ValueError(
                    "shard_optimizer=True takes share_memory=True, and no compression: what is gathered are weights."
                    f" Received: share_memory={share_memory}, compression={compression!r}"
                )
        for name, count in (
            ("steps_per_execution", steps_per_execution),
            ("gradient_accumulation_steps", accumulation),
            ("divergence_every", divergence_every),
        ):
            if count is not None and not is_count(count):
                raise ValueError(f"{name} is a whole number of at least 1. Received: {count!r}")
        compiled = cls(
            found,
            None if loss is None else losses.get(loss) if engine is None else engine.read_loss(loss),
            _read(engine, metric_names),
            _read(engine, weighted_metrics),
            steps_per_execution,
            accumulation,
            on_nan,
            on_divergence,
            divergence_every,
            share_memory,
            compression,
            overlap,
            shard_optimizer,
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
            self.on_nan,
            self.on_divergence,
            self.divergence_every,
            self.share_memory,
            self.compression,
            self.overlap,
            self.shard_optimizer,
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


def _read(engine: Engine | None, given: Any) -> list[Any]:
    if given is None:
        return []
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    return listed if engine is None else [engine.read_metric(metric) for metric in listed]


def compile(  # noqa: A001 - Keras's name
    self: Model,
    optimizer: Any = "rmsprop",
    loss: Any = None,
    metrics: Any = None,
    weighted_metrics: Any = None,
    *,
    steps_per_execution: int = 1,
    gradient_accumulation_steps: int | None = None,
    on_nan: str = "ignore",
    on_divergence: str = "raise",
    divergence_every: int | None = None,
    share_memory: bool = True,
    compression: str | None = None,
    overlap: bool = True,
    shard_optimizer: bool = False,
) -> None:
    """Say how the model is trained.

    Args:
        optimizer: a name or an object of `distfit.optimizers`; or one of the library that computes the model.
        loss: a name, an object of `distfit.losses`, or a function ``(y_true, y_pred) -> (values, gradient)``; or one
            of the library that computes the model.
        metrics: names, functions and objects of `distfit.metrics`; they ignore sample weights, as in Keras.
        weighted_metrics: the same, for those that use them.
        steps_per_execution: global batches between two calls of batch hooks.
        gradient_accumulation_steps: global batches between two updates: the gradients of all their rows are summed,
            and divided by the number of these rows; what remains at an epoch's end is applied there.
        on_nan: what is done where the loss or the gradients of a step are NaN or infinite. ``"ignore"`` looks at
            nothing, as Keras does; ``"raise"`` raises before the weights change, and says on which rank, in which layer
            and row it began; ``"skip"`` leaves the update out, warns the first time, and counts on
            ``model.numerics.skipped``. What is skipped stands in no metric if the loss is not finite.
        on_divergence: what is done where ranks no longer hold the same weights, optimizer state (of which there is one
            copy with `shard_optimizer`) or learning rate, which is looked at when an epoch ends. ``"raise"`` heals what
            is rounding, with a warning, and raises where it is more; ``"heal"`` continues from root's, with a warning;
            ``"ignore"`` looks at nothing.
        divergence_every: look so often within an epoch, too, in steps.
        share_memory: whether the ranks of one machine hold one copy of weights and optimizer state, and each updates a
            part of it, where an optimizer of distfit's changes weights on the CPU. The numbers are those of one rank
            to rounding, with and without.
        compression: ``"bfloat16"`` halves the bytes of gradients that cross machines, for slow networks: they are
            rounded to 8 bits of precision, and what that takes away is added in the next update. The numbers are no
            longer those of one rank then, and a training that goes on from a checkpoint forgets what was to be added.
        overlap: whether gradients cross machines while others are still computed: with one rank a machine during
            backward, for layers of distfit's and modules of PyTorch; with several while those of the machine are added
            up. The numbers are the same.
        shard_optimizer: whether each machine updates a part of the weights, and holds the optimizer's state of that
            part alone, for an optimizer of distfit's on several machines; root's machine has room for all of it. The
            numbers are the same. See `docs/cluster.md` for who can read the state when, `docs/scaling.md` for the time.

    Raises:
        ValueError: for an unknown name; the text lists the known ones; and for options that exclude each other.

    Ranks: local; the start of `fit` checks that all did the same.
    """
    self.take_compiled(
        Compiled.of(
            self.engine if self.built else None,
            optimizer,
            loss,
            metrics,
            weighted_metrics,
            steps_per_execution=steps_per_execution,
            gradient_accumulation_steps=gradient_accumulation_steps,
            on_nan=on_nan,
            on_divergence=on_divergence,
            divergence_every=divergence_every,
            share_memory=share_memory,
            compression=compression,
            overlap=overlap,
            shard_optimizer=shard_optimizer,
        )
    )
