"""A model written down: layers and how they are connected, and what `compile` was given; and made again from that."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from distfit.layers import Input, Layer, Tensor
from distfit.utils.configured import Configured

if TYPE_CHECKING:
    from distfit.training.model import Model

FORMAT_VERSION = 1


def config_of(model: Model) -> dict[str, Any]:
    """Return a model as JSON.

    Raises:
        TypeError: naming the part that has no such form.
    """
    graph = model.graph_engine.graph
    layers = {layer: number for number, layer in enumerate(graph.layers)}
    in_order = {layer: model.graph_engine.names[layer] for layer in graph.layers}
    compiled = model.compiled if model.optimizer is not None else None
    return {
        "format_version": FORMAT_VERSION,
        "name": model.name,
        "single_output": model.graph_engine.single,
        "inputs": [{"shape": list(t.shape), "name": t.name, "dtype": t.dtype} for t in graph.inputs],
        "layers": [{**_write(layer, name), "name": name} for layer, name in in_order.items()],
        "calls": [
            {
                "layer": layers[call.layer],
                "inputs": call.inputs,
                "output": call.output,
                "several": call.several,
            }
            for call in graph.calls
        ],
        "outputs": graph.output_slots,
        "compile": None
        if compiled is None
        else {
            "optimizer": _write(compiled.optimizer, "optimizer"),
            "loss": _write(compiled.loss, "loss"),
            "metrics": _write(compiled.metrics, "metrics"),
            "weighted_metrics": _write(compiled.weighted_metrics, "weighted_metrics"),
            "steps_per_execution": compiled.steps_per_execution,
            "gradient_accumulation_steps": compiled.gradient_accumulation_steps,
            "on_nan": compiled.on_nan,
            "on_divergence": compiled.on_divergence,
            "divergence_every": compiled.divergence_every,
        },
        "optimizer_scalars": {} if compiled is None else compiled.optimizer.scalars(),
        "progress": {"seed": model.progress.seed, "step": model.progress.step},
    }


def graph_of(config: dict[str, Any], custom_objects: Mapping[str, Any]) -> tuple[list[Tensor], list[Tensor]]:
    """Make a model's inputs and outputs from what `config_of` returned.

    Raises:
        ValueError: for a newer format, or a class that is not known here.
    """
    if config["format_version"] > FORMAT_VERSION:
        raise ValueError(
            f"the model was saved in format {config['format_version']}, but this distfit knows {FORMAT_VERSION}:"
            " update it"
        )
    layers: list[Layer] = []
    for written in config["layers"]:
        layer: Layer = read(written, custom_objects)
        layer.name = written["name"]
        layers.append(layer)
    slots: dict[int, Tensor] = {
        slot: Input(tuple(one["shape"]), name=one["name"], dtype=one["dtype"])
        for slot, one in enumerate(config["inputs"])
    }
    inputs = list(slots.values())
    for call in config["calls"]:
        given = [slots[slot] for slot in call["inputs"]]
        slots[call["output"]] = layers[call["layer"]](given if call["several"] else given[0])
    return inputs, [slots[slot] for slot in config["outputs"]]


def _write(value: Any, where: str) -> Any:
    """Return a value as JSON; an object as its class and what its constructor was given."""
    if isinstance(value, Configured):
        config = {name: _write(v, f"{where}.{name}") for name, v in value.get_config().items()}
        return {"class": f"{type(value).__module__}:{type(value).__qualname__}", "config": config}
    if isinstance(value, (list, tuple)):
        return [_write(item, where) for item in value]
    if isinstance(value, dict):
        return {str(name): _write(item, where) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    try:
        json.dumps(value)
    except TypeError:
        raise TypeError(
            f"{where} is a {type(value).__name__}, which cannot be written to a file. Make it a class of distfit's (a"
            " Layer, Loss, Metric ...) with plain arguments, or save the weights alone with save_weights"
        ) from None
    return value


def read(written: Any, custom_objects: Mapping[str, Any]) -> Any:
    """Make what `_write` wrote. Classes come from distfit, or from `custom_objects`: nothing else is imported.

    Raises:
        ValueError: for a class that is in neither.
    """
    if isinstance(written, list):
        return [read(item, custom_objects) for item in written]
    if not isinstance(written, dict):
        return written
    if "class" not in written:
        return {name: read(value, custom_objects) for name, value in written.items()}
    module, name = written["class"].split(":")
    if name in custom_objects:
        cls = custom_objects[name]
    elif module.split(".")[0] == "distfit":
        cls = getattr(importlib.import_module(module), name)
    else:
        raise ValueError(
            f"the model uses {name} of {module}: load_model(..., custom_objects={{{name!r}: {name}}})"
        )
    return cls.from_config({key: read(value, custom_objects) for key, value in written["config"].items()})
