"""Models, and the loops that train, evaluate and predict."""

from distfit.training.loading import load_model
from distfit.training.model import Model
from distfit.training.sequential import Sequential

__all__ = ["Model", "Sequential", "load_model"]
