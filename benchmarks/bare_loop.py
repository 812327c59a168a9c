"""What distfit is measured against: the training loop of one network, written by hand in NumPy.

It does the arithmetic that `fit` does, pass for pass and to the last bit, for this one network only: bytes to float32,
rectified layers, the cross-entropy of logits, the gradients into one flat buffer, one reduction, and Adam over that
buffer in pieces that fit the cache; in one pass, where `fit` has a compiled loop for it, with the same loop. It has no
callbacks, checks nothing, agrees on nothing, and where a rank fails the others wait for ever.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from distfit.optimizers import adam_loop

AllReduce = Callable[[np.ndarray], None]
Order = Callable[[int], np.ndarray]

CHUNK = 131_072
RATE, BETA_1, BETA_2, EPSILON = 0.001, 0.9, 0.999, 1e-7


class Scores(NamedTuple):
    """What an epoch gave, over the rows of all ranks: the mean cross-entropy, and the share of rows that were right."""

    loss: float
    accuracy: float


def nobody_else(array: np.ndarray) -> None:
    """Reduce over one rank: the sum stands there already."""


def shuffled(rows: int, seed: int = 0) -> Order:
    """Return an order that visits so many rows anew in each epoch, equal on all ranks."""
    return lambda epoch: np.random.default_rng([seed, epoch]).permutation(rows)


class BareLoop:
    """A network of rectified layers, and the loops that train and evaluate it.

    Args:
        weights: kernel and bias of each layer in turn, float32; copied.
        rank: this rank.
        size: how many ranks there are.
        all_reduce: sums an array in place over all ranks.
    """

    def __init__(
        self,
        weights: Sequence[np.ndarray],
        rank: int = 0,
        size: int = 1,
        all_reduce: AllReduce = nobody_else,
    ) -> None:
        self.rank, self.size, self.all_reduce = rank, size, all_reduce
        length = sum(weight.size for weight in weights)
        self.parameters, self.gradients, self.momentum, self.velocity = (
            np.zeros(length, np.float32) for _ in range(4)
        )
        self.weights = _views(self.parameters, weights)
        self.weight_gradients = _views(self.gradients, weights)
        for view, weight in zip(self.weights, weights, strict=True):
            view[...] = weight
        self.updates = 0
        self._scratch = np.empty(CHUNK, np.float32)
        if length >= adam_loop.SMALLEST:
            adam_loop.prepare(self.parameters.dtype)

    def fit(self, x: np.ndarray, y: np.ndarray, batch_size: int, epochs: int, order: Order) -> Scores:
        """Train on images ``(rows, height, width)`` uint8 and classes ``(rows,)``; return the last epoch's scores.

        Ranks: every rank; one reduction of the gradients a step, and one of three numbers an epoch.
        """
        sums = np.zeros(3)
        for epoch in range(epochs):
            sums[:] = 0
            rows = order(epoch)
            for start in range(0, len(rows), batch_size):
                batch = np.sort(rows[start : start + batch_size])
                mine = self._share(batch)
                sums += self._train(x[mine], y[mine])
                self.all_reduce(self.gradients)
                self._update(1.0 / len(batch))
            self.all_reduce(sums)
        return Scores(sums[0] / sums[2], sums[1] / sums[2])

    def evaluate(self, x: np.ndarray, y: np.ndarray, batch_size: int) -> Scores:
        """Return the scores of all rows.

        Ranks: every rank; one reduction of three numbers.
        """
        sums = np.zeros(3)
        for start in range(0, len(x), batch_size):
            mine = self._share(np.arange(start, min(start + batch_size, len(x))))
            part = slice(mine[0], mine[-1] + 1)
            logits = self._forward(x[part])[-1]
            sums += cross_entropy(logits, y[part])[1]
        self.all_reduce(sums)
        return Scores(sums[0] / sums[2], sums[1] / sums[2])

    def _share(self, batch: np.ndarray) -> np.ndarray:
        """Return this rank's rows of a global batch: as many as the others have, or one more."""
        first, last = (len(batch) * part // self.size for part in (self.rank, self.rank + 1))
        return batch[first:last]

    def _forward(self, x: np.ndarray) -> list[np.ndarray]:
        """Return the input and every layer's output."""
        outputs = [np.multiply(x, np.float32(1 / 255), dtype=np.float32).reshape(len(x), -1)]
        *hidden, last = zip(self.weights[::2], self.weights[1::2], strict=True)
        for kernel, bias in hidden:
            z = outputs[-1] @ kernel
            z += bias
            outputs.append(np.maximum(z, np.zeros(z.shape[1:], z.dtype), out=z))
        logits = outputs[-1] @ last[0]
        logits += last[1]
        return [*outputs, logits]

    def _train(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Write the gradients, summed over the rows, and return what the rows add to the scores."""
        *inputs, logits = self._forward(x)
        gradient, sums = cross_entropy(logits, y)
        for layer in range(len(inputs) - 1, -1, -1):
            np.matmul(inputs[layer].T, gradient, out=self.weight_gradients[2 * layer])
            np.sum(gradient, axis=0, out=self.weight_gradients[2 * layer + 1])
            if layer:
                gradient = gradient @ self.weights[2 * layer].T
                gradient *= inputs[layer] > 0
        return sums

    def _update(self, scale: float) -> None:
        """Take Adam's step (Kingma and Ba, 2015), with the gradients' mean: their sum times `scale`."""
        self.updates += 1
        rate = RATE * math.sqrt(1 - BETA_2**self.updates) / (1 - BETA_1**self.updates)
        for start in range(0, self.parameters.size, CHUNK):
            part = slice(start, start + CHUNK)
            weights, gradients = self.parameters[part], self.gradients[part]
            momentum, velocity = self.momentum[part], self.velocity[part]
            scratch = self._scratch[: weights.size]
            numbers = (1 - BETA_1) * scale, math.sqrt(1 - BETA_2) * scale, EPSILON, rate
            if not adam_loop.run(scratch, gradients, momentum, velocity, BETA_1, BETA_2, *numbers):
                step_in_passes(scratch, gradients, momentum, velocity, *numbers)
            weights -= scratch


def step_in_passes(
    step: np.ndarray,
    gradients: np.ndarray,
    momentum: np.ndarray,
    velocity: np.ndarray,
    to_momentum: float,
    to_velocity: float,
    epsilon: float,
    rate: float,
) -> None:
    """Update the moments, and write the step, where Numba does not do it."""
    np.multiply(gradients, to_velocity, out=step)
    np.square(step, out=step)
    velocity *= BETA_2
    velocity += step
    np.multiply(gradients, to_momentum, out=step)
    momentum *= BETA_1
    momentum += step
    np.sqrt(velocity, out=step)
    step += epsilon
    np.divide(momentum, step, out=step)
    step *= rate


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the loss's gradient by the logits, and what the rows add to the scores: loss, right ones, rows.

    The loss of a row is ``log(sum(exp(z))) - z[label]``, and its gradient ``softmax(z) - onehot(label)``.
    """
    right = np.count_nonzero(logits.argmax(axis=1) == labels)
    chosen = np.arange(0, logits.size, logits.shape[1]) + labels
    shifted = logits - logits.max(axis=1, keepdims=True)
    at_label = shifted.reshape(-1)[chosen]
    exponentials = np.exp(shifted, out=shifted)
    normalizer = exponentials @ np.ones(logits.shape[1], np.float32)
    loss = (np.log(normalizer) - at_label).sum(dtype=np.float64)
    exponentials *= (1 / normalizer)[:, np.newaxis]
    exponentials.reshape(-1)[chosen] -= 1
    return exponentials, np.array([loss, right, len(labels)], np.float64)


def _views(buffer: np.ndarray, like: Sequence[np.ndarray]) -> list[np.ndarray]:
    starts = np.cumsum([0, *(array.size for array in like)])
    return [
        buffer[start : start + array.size].reshape(array.shape)
        for start, array in zip(starts[:-1], like, strict=True)
    ]
