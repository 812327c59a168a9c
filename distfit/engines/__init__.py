"""What computes the gradients of a rank's rows: NumPy layers here, and in later files other libraries."""

from distfit.engines.engine import Engine
from distfit.engines.kernels import Kernel
from distfit.engines.nonfinite import NonFinite, all_finite
from distfit.engines.numpy_engine import NumpyEngine
from distfit.engines.updater import Updater
from distfit.engines.values import Evaluated, LossValue, Step, Variable

__all__ = [
    "Engine", "Evaluated", "Kernel", "LossValue", "NonFinite", "NumpyEngine", "Step", "Updater", "Variable",
    "all_finite",
]  # fmt: skip
