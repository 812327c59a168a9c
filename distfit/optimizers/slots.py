"""An optimizer's arrays: one number for each element of the arena, by the slot's name."""

from collections.abc import Mapping

import numpy as np

Slots = dict[str, np.ndarray]

IN_PARTS = (
    "machines hold parts of this optimizer's state, as compile(shard_optimizer=True) says, and this rank has not all of"
    " it. Rank 0 has, in on_epoch_end and on_train_end, and behind fit. To save within an epoch, let"
    " BackupAndRestore do it, or call model.save on all ranks together"
)


def allocate(values: Mapping[str, float], size: int, dtype: np.dtype) -> Slots:
    """Return an array for each slot, filled with the number that it starts from.

    Zeros take no memory before they are written: of many ranks on a machine, each has slots until they share some.
    """
    return {
        name: np.full(size, value, dtype) if value else np.zeros(size, dtype)
        for name, value in values.items()
    }


def read_only(slots: Mapping[str, np.ndarray]) -> Slots:
    """Return the same arrays, which cannot be written there."""
    views = {name: slot.view() for name, slot in slots.items()}
    for view in views.values():
        view.flags.writeable = False
    return views


def restore(slots: Slots, arrays: Mapping[str, np.ndarray]) -> None:
    """Copy saved arrays into the slots, all of them or none.

    Args:
        slots: written in place.
        arrays: one for each slot, of its shape, of any floating-point dtype.

    Raises:
        ValueError: if names or shapes differ; nothing is written then.

    Ranks: local.
    """
    if set(arrays) != set(slots):
        raise ValueError(
            f"this optimizer's slots are {sorted(slots)}. Received: {sorted(arrays)}. "
            "Restore into an optimizer of the class and arguments that were saved"
        )
    for name, slot in slots.items():
        if np.shape(arrays[name]) != slot.shape:
            raise ValueError(
                f"slot {name!r} has shape {slot.shape}. Received: shape {np.shape(arrays[name])}. "
                "Restore into a model of the layout that was saved"
            )
    for name, slot in slots.items():
        np.copyto(slot, arrays[name], casting="same_kind")
