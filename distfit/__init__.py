"""Data-parallel training on MPI ranks, with Keras's interface: any number of ranks gives one rank's answer.

Everything is loaded when it is first used, so that `import distfit` is cheap, and starts no MPI.
"""

import importlib
from typing import TYPE_CHECKING, Any

from distfit._startup import check_alone, leave_with_the_others

if TYPE_CHECKING:
    from distfit import (
        callbacks,
        checkpoint,
        comm,
        config,
        data,
        datasets,
        errors,
        initializers,
        layers,
        losses,
        metrics,
        optimizers,
        utils,
    )
    from distfit.errors import DistfitError, RemoteError
    from distfit.training import Model, Sequential, load_model
    from distfit.training.foreign import JaxModel, KerasModel, TorchModel

__version__ = "0.1.0"

check_alone()
leave_with_the_others()

_FROM_MODULE = {
    "Model": "training",
    "Sequential": "training",
    "load_model": "training",
    "DistfitError": "errors",
    "RemoteError": "errors",
    "JaxModel": "training.foreign",
    "KerasModel": "training.foreign",
    "TorchModel": "training.foreign",
}
_MODULES = (
    "callbacks", "checkpoint", "comm", "config", "data", "datasets", "errors", "initializers", "layers", "losses",
    "metrics", "optimizers", "utils",
)  # fmt: skip

__all__ = [
    "DistfitError", "JaxModel", "KerasModel", "Model", "RemoteError", "Sequential", "TorchModel", "callbacks",
    "checkpoint", "comm", "config", "data", "datasets", "errors", "initializers", "layers", "load_model", "losses",
    "metrics", "optimizers", "utils",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"distfit.{name}")
    if name in _FROM_MODULE:
        return getattr(importlib.import_module(f"distfit.{_FROM_MODULE[name]}"), name)
    raise AttributeError(f"module 'distfit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
