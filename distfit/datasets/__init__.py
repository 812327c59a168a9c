"""Small real data for examples and tests, in the form in which Keras gives them."""

from distfit.datasets import digits, fashion_mnist
from distfit.datasets.fetching import DatasetUnavailable

__all__ = ["DatasetUnavailable", "digits", "fashion_mnist"]
