"""A model's weights, and a whole model, on disk."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distfit.checkpoint import Checkpoint, load, read_arrays, write_arrays
from distfit.engines import Variable
from distfit.errors import ModelTorn
from distfit.training.config import config_of

if TYPE_CHECKING:
    from distfit.training.model import Model


_OF_OPTIMIZER = "optimizer/"


def save_weights(
    self: Model,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    *,
    include_optimizer: bool = False,
) -> None:
    """Write all weights to one file, which is whole or absent whenever the process dies.

    Args:
        filepath: ending in ``.safetensors`` or ``.npz``, or as the engine's own files do (``.weights.h5`` of Keras).
            Folders are made.
        overwrite: whether a file that is there may be replaced.
        include_optimizer: whether the optimizer's state is written, too, from which `load_weights` lets a training go
            on; to ``.safetensors`` alone.

    Raises:
        FileExistsError: if it may not; Keras would ask on the terminal, which under `mpirun` nobody can answer.
        OSError, ValueError: if it cannot be written, on all ranks.

    Ranks: every rank together; root writes. In a solo block, or a callback on root, this rank alone.
    """

    def write() -> None:
        if _is_of_library(self, filepath):
            self.engine.write_file(os.fspath(filepath), overwrite=overwrite)
            return
        arrays, metadata = _weights(self), {}
        if include_optimizer:
            if not str(filepath).endswith(".safetensors"):
                raise ValueError(
                    "the optimizer's state is saved to a file that ends in .safetensors. Received:"
                    f" {os.fspath(filepath)}"
                )
            arrays |= _optimizer_arrays(self)
            metadata = {"distfit": json.dumps({"optimizer_scalars": self.compiled.optimizer.scalars()})}
        _write(filepath, arrays, metadata, overwrite=overwrite)

    with self.comm.operation("save_weights"):
        if include_optimizer:
            _collect_state(self)
        self.comm.on_root(write)


def load_weights(self: Model, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
    """Read weights that `save_weights` or `save` wrote, or those of a checkpoint.

    Where the file holds the state of an optimizer, too, and the model is compiled, that is restored as in Keras: its
    arrays, the number of updates and the learning rate. A state that does not fit, as that of another kind of
    optimizer, is left out with a warning.

    Args:
        filepath: of the file, or of a checkpoint's folder, such as ``"backup/checkpoint-000012"``.
        skip_mismatch: whether weights of another shape, or missing ones, are left as they are.

    Raises:
        ValueError: naming the weights that do not fit; none is changed then.
        OSError: if the file cannot be read. Both on all ranks.

    Ranks: every rank together; root reads, and its weights are shared. In a solo block this rank alone.
    """
    with self.comm.operation("load_weights"):
        self.shared_state.check()
        self.comm.on_root(lambda: _load(self, os.fspath(filepath), skip=skip_mismatch))
    with self.comm.operation(f"the sharing of the weights of {self.shared_state.describe()}"):
        # A second operation: root's error has reached all ranks before the weights are sent.
        self.shared_state.broadcast(self.comm.current)
        self.progress.torn = False


def save(self: Model, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write the whole model to one file: layers, weights, what `compile` was given, and the optimizer's state.

    Args:
        filepath: ending in ``.safetensors``, or as the engine's own files do (``.keras`` of Keras).
        overwrite: whether a file that is there may be replaced.

    Raises:
        TypeError: if a part of the model cannot be written down as JSON, naming it.
        OSError, ValueError: if the file cannot be written, on all ranks.

    Ranks: every rank together; root writes. In a solo block, or a callback on root, this rank alone.
    """
    with self.comm.operation("save"):
        _collect_state(self)
        self.comm.on_root(lambda: _save(self, filepath, overwrite=overwrite))


def as_checkpoint(self: Model, **state: Any) -> Checkpoint:
    """Return what a checkpoint holds of the model: weights, the optimizer's state, the seed and the count of steps.

    Args:
        state: what else it is to hold, such as ``epoch`` and ``logs``; see docs/checkpoint-format.md.

    Returns:
        A checkpoint whose arrays are the model's own, and no copies.

    Raises:
        ModelTorn: if an update of the weights failed half-way.
        RuntimeError: where `shard_optimizer` has left this rank a part of the optimizer's state; root has all of it
            between epochs.

    Ranks: local; any of them, which hold equal copies.
    """
    optimizer, progress = self.compiled.optimizer, self.progress
    return Checkpoint(
        _weights(self),
        optimizer.state(),
        {
            "step": progress.step,
            "seed": progress.seed,
            "optimizer": optimizer.scalars(),
            "settings": {name: value for name, value in optimizer.settings().items() if _is_plain(value)},
            "updates_skipped": self.numerics.skipped,
            "model": self.engine.describe(),
            **state,
        },
    )


def _collect_state(model: Model) -> None:
    """Bring the optimizer's state to root. A rank that works alone saves what it has.

    Ranks: every rank that saves.
    """
    if model.comm.current is model.comm:
        model.update.collect_state()


def _is_plain(value: object) -> bool:
    """Say whether a setting is a number, a text or nothing; a schedule is none, and stays the program's own."""
    return value is None or isinstance(value, (bool, int, float, str))


def _is_of_library(model: Model, filepath: str | os.PathLike[str]) -> bool:
    return bool(model.engine.formats) and str(filepath).endswith(model.engine.formats)


def _save(model: Model, filepath: str | os.PathLike[str], *, overwrite: bool) -> None:
    if _is_of_library(model, filepath):
        model.engine.write_file(os.fspath(filepath), overwrite=overwrite)
        return
    if not str(filepath).endswith(".safetensors"):
        raise ValueError(
            f"a model is saved to a file that ends in .safetensors. Received: {os.fspath(filepath)}"
        )
    arrays = _weights(model)
    if model.optimizer is not None:
        arrays |= _optimizer_arrays(model)
    _write(filepath, arrays, {"distfit": json.dumps(config_of(model))}, overwrite=overwrite)


def _weights(model: Model) -> dict[str, np.ndarray]:
    if model.progress.torn:
        raise ModelTorn("an update of the weights failed half-way: they are not worth saving")
    return {variable.name: variable.value for variable in model.engine.variables}


def _optimizer_arrays(model: Model) -> dict[str, np.ndarray]:
    return {_OF_OPTIMIZER + name: array for name, array in model.compiled.optimizer.state().items()}


def read_saved(filepath: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a file that `save` or `save_weights` wrote, or a checkpoint's folder.

    Returns:
        The arrays by name, those of the optimizer under ``optimizer/``; and what is known of them besides.

    Raises:
        ValueError: for a file of another kind, or a damaged one.
        OSError: if it cannot be read.

    Ranks: local.
    """
    if not Path(filepath).is_dir():
        arrays, metadata = read_arrays(filepath)
        return arrays, json.loads(metadata.get("distfit", "{}"))
    checkpoint = load(filepath)
    state = {_OF_OPTIMIZER + name: array for name, array in checkpoint.optimizer.items()}
    return {**checkpoint.weights, **state}, {"optimizer_scalars": checkpoint.state.get("optimizer", {})}


def optimizer_state(
    arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Return the arrays and scalars of the optimizer that a file holds; no scalars where it holds none.

    Ranks: local.
    """
    state = {
        name.removeprefix(_OF_OPTIMIZER): array
        for name, array in arrays.items()
        if name.startswith(_OF_OPTIMIZER)
    }
    return state, config.get("optimizer_scalars", {})


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


def _load(model: Model, filepath: str, *, skip: bool) -> None:
    """Check all that is to be written before the first of it is."""
    if _is_of_library(model, filepath):
        model.engine.read_file(filepath)
        return
    arrays, config = read_saved(filepath)
    variables = model.engine.variables
    if not skip:
        check_fit(variables, arrays, filepath)
    _restore_optimizer(model, arrays, config, filepath)
    for variable in variables:
        if variable.name in arrays and arrays[variable.name].shape == variable.value.shape:
            variable.assign(arrays[variable.name])


def check_fit(variables: Sequence[Variable], arrays: Mapping[str, np.ndarray], where: str) -> None:
    """Raise unless there is an array of the right shape for each weight of a model.

    Args:
        variables: the model's.
        arrays: what was saved, by name.
        where: in which file.

    Raises:
        ValueError: naming each weight that does not fit.

    Ranks: local.
    """
    misfits = [
        f"{v.name}: the model has {v.value.shape}, the file {arrays[v.name].shape if v.name in arrays else 'nothing'}"
        for v in variables
        if v.name not in arrays or arrays[v.name].shape != v.value.shape
    ]
    if misfits:
        raise ValueError(f"the weights in {where} do not fit the model:\n    " + "\n    ".join(misfits))


def _restore_optimizer(
    model: Model, arrays: dict[str, np.ndarray], config: dict[str, Any], filepath: str
) -> None:
    state, scalars = optimizer_state(arrays, config)
    if model.optimizer is None or not scalars:
        return
    try:
        model.optimizer.restore(state, scalars)
    except ValueError as error:
        warnings.warn(
            f"the state of the optimizer in {filepath} is left out: {error}. Compile the model as it was when it was"
            " saved to go on where it was, or load a file of weights alone",
            stacklevel=2,
        )
