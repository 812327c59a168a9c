"""What computes the gradients of a rank's rows: NumPy layers here, and in later files other libraries."""

from distfit.engines.engine import Engine, Evaluated, LossValue, Step, Variable
from distfit.engines.numpy_engine import NumpyEngine

__all__ = ["Engine", "Evaluated", "LossValue", "NumpyEngine", "Step", "Variable"]
