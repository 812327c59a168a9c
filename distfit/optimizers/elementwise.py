"""Optimizers that treat every element by itself, wherever its parameter ends."""

from abc import abstractmethod

from distfit.optimizers.arena import Chunk, Run, Step, decay_weights, merge
from distfit.optimizers.optimizer import Optimizer


class ElementwiseOptimizer(Optimizer):
    """Base of optimizers whose step at an element depends on nothing but that element.

    So neighbouring parameters are updated as one.

    Example:
        >>> import numpy as np
        >>> from distfit import optimizers
        >>> class SignDescent(optimizers.ElementwiseOptimizer):
        ...     def slot_values(self):
        ...         return {}
        ...     def update(self, chunk, step):
        ...         np.sign(chunk.gradients, out=chunk.gradients)
        ...         chunk.weights -= step.learning_rate * chunk.gradients
        >>> optimizer = SignDescent(0.5)
        >>> optimizer.build(2, "float32", [optimizers.Segment("kernel", 0, 2)])
        >>> weights = np.zeros(2, np.float32)
        >>> optimizer.apply(weights, np.array([3.0, -4.0], np.float32), divisor=1)
        >>> weights.tolist()
        [-0.5, 0.5]
    """

    @abstractmethod
    def update(self, chunk: Chunk, step: Step) -> None:
        """Update the weights and slots of one chunk, in place. Weight decay was done."""

    def arrange(self, runs: list[Run]) -> list[Run]:
        """Return the runs with neighbours joined."""
        return merge(runs)

    def update_run(self, chunks: list[Chunk], step: Step) -> None:
        """Decay and update chunk after chunk."""
        for chunk in chunks:
            decay_weights(chunk, step)
            self.update(chunk, step)
