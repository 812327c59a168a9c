"""Optimizers that scale each parameter's step by the norms of its weights and of its step."""

import math
from abc import abstractmethod

from distfit.optimizers.arena import Chunk, Run, Step
from distfit.optimizers.norms import squared_norm
from distfit.optimizers.optimizer import Optimizer


class LayerwiseOptimizer(Optimizer):
    """Base of optimizers for large global batches: LARS, LAMB.

    One parameter takes two passes: the first turns its gradients into a direction, the second goes that way,
    by a learning rate of the parameter's own, the global one times the trust ratio.
    """

    is_layerwise = True

    @abstractmethod
    def prepare(self, chunk: Chunk, step: Step) -> None:
        """Overwrite the chunk's gradients with its direction, and update what that needs."""

    @abstractmethod
    def trust_ratio(self, weight_norm: float, direction_norm: float, decay: float) -> float:
        """Return the factor of the learning rate for a parameter with these norms, neither of them zero."""

    @abstractmethod
    def descend(self, chunk: Chunk, learning_rate: float) -> None:
        """Go the chunk's direction, by the parameter's learning rate."""

    def arrange(self, runs: list[Run]) -> list[Run]:
        """Return the runs as they are, one for each parameter."""
        return runs

    def update_run(self, chunks: list[Chunk], step: Step) -> None:
        """Update one parameter, in two passes."""
        weights = directions = decay = 0.0
        for chunk in chunks:
            decay = chunk.decay
            self.prepare(chunk, step)
            weights += squared_norm(chunk.weights, self._wide_scratch)
            directions += squared_norm(chunk.gradients, self._wide_scratch)
        ratio = 1.0  # new biases are zero, and could never move by a step that is relative to their norm
        if weights > 0 and directions > 0:
            ratio = self.trust_ratio(math.sqrt(weights), math.sqrt(directions), decay)
        for chunk in chunks:
            self.descend(chunk, step.learning_rate * ratio)
