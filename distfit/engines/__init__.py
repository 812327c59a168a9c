"""What computes the gradients of a rank's rows: NumPy layers here, and in later files other libraries."""

from distfit.engines.engine import Engine, Evaluated, LossValue, Step, Variable
from distfit.engines.nonfinite import NonFinite, all_finite
from distfit.engines.numpy_engine import NumpyEngine
from distfit.engines.updater import Updater

__all__ = [
    "Engine", "Evaluated", "LossValue", "NonFinite", "NumpyEngine", "Step", "Updater", "Variable", "all_finite",
]  # fmt: skip
