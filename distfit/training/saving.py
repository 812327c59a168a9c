"""A model's weights, and a whole model, on disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distfit.checkpoint import read_arrays, write_arrays
from distfit.errors import ModelTorn
from distfit.training.config import config_of

if TYPE_CHECKING:
    from distfit.training.model import Model


def save_weights(self: Model, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write all weights to one file, which is whole or absent whenever the process dies.

    Args:
        filepath: ending in ``.safetensors`` or ``.npz``. Folders are made.
        overwrite: whether a file that is there may be replaced.

    Raises:
        FileExistsError: if it may not; Keras would ask on the terminal, which under `mpirun` nobody can answer.
        OSError, ValueError: if it cannot be written, on all ranks.

    Ranks: every rank together; root writes. In a solo block, or a callback on root, this rank alone.
    """
    with self.comm.operation("save_weights"):
        self.comm.on_root(lambda: _write(filepath, _weights(self), {}, overwrite=overwrite))


def load_weights(self: Model, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
    """Read weights that `save_weights` or `save` wrote.

    Args:
        filepath: of the file.
        skip_mismatch: whether weights of another shape, or missing ones, are left as they are.

    Raises:
        ValueError: naming the weights that do not fit; none is changed then.
        OSError: if the file cannot be read. Both on all ranks.

    Ranks: every rank together; root reads, and its weights are shared. In a solo block this rank alone.
    """
    with self.comm.operation("load_weights"):
        self.comm.on_root(
            lambda: _assign(self, read_arrays(filepath)[0], os.fspath(filepath), skip=skip_mismatch)
        )
    with self.comm.operation(f"the sharing of the weights of {self.shared_state.describe()}"):
        # A second operation: root's error has reached all ranks before the weights are sent.
        self.shared_state.broadcast(self.comm.current)
        self.progress.torn = False


def save(self: Model, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write the whole model to one file: layers, weights, what `compile` was given, and the optimizer's state.

    Args:
        filepath: ending in ``.safetensors``.
        overwrite: whether a file that is there may be replaced.

    Raises:
        TypeError: if a part of the model cannot be written down as JSON, naming it.
        OSError, ValueError: if the file cannot be written, on all ranks.

    Ranks: every rank together; root writes. In a solo block, or a callback on root, this rank alone.
    """
    with self.comm.operation("save"):
        self.comm.on_root(lambda: _save(self, filepath, overwrite=overwrite))


def _save(model: Model, filepath: str | os.PathLike[str], *, overwrite: bool) -> None:
    if not str(filepath).endswith(".safetensors"):
        raise ValueError(
            f"a model is saved to a file that ends in .safetensors. Received: {os.fspath(filepath)}"
        )
    arrays = _weights(model)
    optimizer = model.optimizer
    if optimizer is not None:
        arrays.update({f"optimizer/{name}": array for name, array in optimizer.state().items()})
    _write(filepath, arrays, {"distfit": json.dumps(config_of(model))}, overwrite=overwrite)


def _weights(model: Model) -> dict[str, np.ndarray]:
    if model.progress.torn:
        raise ModelTorn("an update of the weights failed half-way: they are not worth saving")
    return {variable.name: variable.value for variable in model.engine.variables}


def _write(
    filepath: str | os.PathLike[str],
    arrays: dict[str, np.ndarray],
    metadata: dict[str, str],
    *,
    overwrite: bool,
) -> None:
    if not overwrite and Path(filepath).exists():
        raise FileExistsError(f"{os.fspath(filepath)} is there already, and overwrite=False")
    write_arrays(filepath, arrays, metadata)


def _assign(model: Model, arrays: dict[str, np.ndarray], filepath: str, *, skip: bool) -> None:
    variables = model.engine.variables
    misfits = [
        f"{v.name}: the model has {v.value.shape}, the file {arrays[v.name].shape if v.name in arrays else 'nothing'}"
        for v in variables
        if v.name not in arrays or arrays[v.name].shape != v.value.shape
    ]
    if misfits and not skip:
        raise ValueError(f"the weights in {filepath} do not fit the model:\n    " + "\n    ".join(misfits))
    for variable in variables:
        if variable.name in arrays and arrays[variable.name].shape == variable.value.shape:
            variable.assign(arrays[variable.name])
