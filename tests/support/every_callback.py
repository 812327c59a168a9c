"""Every callback that distfit exports, and how a test makes one that has something to do."""

import inspect
from typing import Any

from support.small import regression

from distfit import Sequential, callbacks, optimizers
from distfit.callbacks import Callback
from distfit.comm import Communicator

EXPORTED = [getattr(callbacks, name) for name in callbacks.__all__]
CALLBACKS = [one for one in EXPORTED if inspect.isclass(one) and issubclass(one, Callback)]

# Arguments with which each acts within a few epochs. What is written has a name relative to where the rank is.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "BackupAndRestore": {"backup_dir": "backup"},
    "CSVLogger": {"filename": "training.csv"},
    "EarlyStopping": {"monitor": "loss", "mode": "max", "patience": 2, "restore_best_weights": True},
    "JSONLogger": {"filename": "training.jsonl"},
    "LearningRateScheduler": {"schedule": lambda epoch, rate: rate / (epoch + 1)},
    "LearningRateWarmup": {"epochs": 2},
    "ModelCheckpoint": {"filepath": "{epoch}.safetensors", "monitor": "loss"},
    "ReduceLROnPlateau": {"monitor": "loss", "mode": "max", "patience": 1, "cooldown": 1},
    "SwapEMAWeights": {"swap_on_epoch": True},
    "TensorBoard": {"histogram_freq": 1, "update_freq": 2, "write_steps_per_second": True},
    "TimeLimit": {"limit": "1-00:00:00"},
}

# Nobody listens where RemoteMonitor sends to.
UNHEARD = "ignore:RemoteMonitor could not reach its server"


def make(kind: type[Callback]) -> Callback:
    """Return a callback that acts."""
    return kind(**ARGUMENTS.get(kind.__name__, {}))


def model_with_averages(comm: Communicator) -> Sequential:
    """Return a model whose optimizer keeps all that any callback asks for."""
    return regression(comm, optimizer=optimizers.SGD(use_ema=True))
