"""A whole model, read from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from distfit.comm import Communicator
from distfit.training.config import graph_of, read
from distfit.training.model import Model
from distfit.training.saving import optimizer_state, read_saved


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,  # noqa: A002 - Keras's name
    *,
    comm: Communicator | None = None,
) -> Model:
    """Read a model that `Model.save` wrote: layers, weights, and all that is needed to train on.

    Args:
        filepath: of the file.
        custom_objects: classes of the user's own, by name.
        compile: whether the model is compiled as it was.
        comm: the ranks of the model. Defaults to all ranks of the job.

    Raises:
        ValueError: for a file of another kind, a newer format, or a class that is not known here.
        OSError: if the file cannot be read. Both on all ranks.

    Ranks: every rank together; root reads the file and sends all of it.
    """
    whole = comm or Communicator.world()
    with whole.operation("load_model"):
        content: list[Any] = [None]

        def fetch() -> None:
            content[0] = read_saved(filepath)

        whole.on_root(fetch)
        arrays, config = whole.current.broadcast_object(content[0])
        if "layers" not in config:
            raise ValueError(
                f"{os.fspath(filepath)} holds no model: load_weights reads a file of weights alone"
            )
        custom = custom_objects or {}
        inputs, outputs = graph_of(config, custom)
        model = Model(
            inputs, outputs[0] if config["single_output"] else outputs, name=config["name"], comm=comm
        )
        for variable in model.engine.variables:
            variable.assign(arrays[variable.name])
        model.progress.seed, model.progress.step = config["progress"]["seed"], config["progress"]["step"]
        if compile and config["compile"] is not None:
            model.compile(**read(config["compile"], custom))
            model.optimizer.restore(*optimizer_state(arrays, config))
    return model
