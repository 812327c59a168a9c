"""How layers are called within a model."""

from __future__ import annotations

from distfit.layers import Layer


def unique_names(layers: list[Layer]) -> dict[Layer, str]:
    """Name layers within the model; those without a name of the user's are numbered: dense, dense_1, dense_2.

    Raises:
        ValueError: if the user gave two of them one name.
    """
    names: dict[Layer, str] = {}
    for layer in sorted(layers, key=lambda layer: not layer.named_by_user):
        name, number = layer.name, 0
        if layer.named_by_user and name in names.values():
            raise ValueError(f"two layers of the model have the name {name!r}: names have to differ")
        while name in names.values():
            number += 1
            name = f"{layer.name}_{number}"
        names[layer] = name
    return names
