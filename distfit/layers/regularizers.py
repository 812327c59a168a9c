"""Penalties on weights that are added to the loss."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from distfit.utils.configured import Configured
from distfit.utils.lookup import lookup


class Regularizer(Configured, ABC):
    """A penalty on a weight: a value and its gradient.

    Attributes:
        is_elementwise: whether the gradient at an element depends on that element alone.
    """

    is_elementwise = False

    @abstractmethod
    def penalty(self, weight: np.ndarray) -> float:
        """Return what the weight adds to the mean loss."""

    @abstractmethod
    def gradient(self, weight: np.ndarray) -> np.ndarray:
        """Return the derivative of `penalty`, in the weight's shape."""


class L1(Regularizer):
    """``l1 * sum(|w|)``."""

    is_elementwise = True

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = l1

    def penalty(self, weight: np.ndarray) -> float:
        return self.l1 * float(np.abs(weight).sum(dtype=np.float64))

    def gradient(self, weight: np.ndarray) -> np.ndarray:
        return np.asarray(self.l1 * np.sign(weight))


class L2(Regularizer):
    """``l2 * sum(w**2)``."""

    is_elementwise = True

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = l2

    def penalty(self, weight: np.ndarray) -> float:
        return self.l2 * float(np.square(weight).sum(dtype=np.float64))

    def gradient(self, weight: np.ndarray) -> np.ndarray:
        return np.asarray((2 * self.l2) * weight)


class L1L2(Regularizer):
    """``l1 * sum(|w|) + l2 * sum(w**2)``."""

    is_elementwise = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = L1(l1)
        self.l2 = L2(l2)

    def penalty(self, weight: np.ndarray) -> float:
        return self.l1.penalty(weight) + self.l2.penalty(weight)

    def gradient(self, weight: np.ndarray) -> np.ndarray:
        return np.asarray(self.l1.gradient(weight) + self.l2.gradient(weight))


KNOWN = {"l1": L1, "l2": L2, "l1_l2": L1L2}


def get(identifier: Any) -> Regularizer | None:
    """Return the regularizer of that name (``"l1"``, ``"l2"``, ``"l1_l2"``), or the object itself."""
    found: Regularizer | None = lookup(identifier, KNOWN, "regularizer")
    return found
