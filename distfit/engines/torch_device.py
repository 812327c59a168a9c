"""Where a rank's module computes, and how arrays get there and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

# Of the rank among those of its machine, as launchers tell each process.
_LOCAL_RANKS = ("MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "PALS_LOCAL_RANKID", "SLURM_LOCALID")
_NUMBERS = "biuf"


def choose_device(
    device: str | torch.device, gpus: int | None = None, environment: Mapping[str, str] = os.environ
) -> torch.device:
    """Return a rank's device.

    Args:
        device: ``"auto"`` is the GPU of the rank's number on its machine, or the CPU where there is none; any other is
            taken as torch takes it.
        gpus: how many GPUs this machine has. Defaults to what torch finds.
        environment: of the process.

    Raises:
        ValueError: if the machine has more ranks than GPUs.

    Ranks: local.

    Example:
        >>> choose_device("auto", gpus=2, environment={"MPI_LOCALRANKID": "1"})
        device(type='cuda', index=1)
        >>> choose_device("auto", gpus=0)
        device(type='cpu')
    """
    if device != "auto":
        return torch.device(device)
    count = torch.cuda.device_count() if gpus is None else gpus
    if count == 0:
        return torch.device("cpu")
    local_rank = next((int(environment[name]) for name in _LOCAL_RANKS if name in environment), 0)
    if local_rank >= count:
        raise ValueError(
            f"this machine has {count} GPUs, but more ranks than that: rank {local_rank} of the machine has none left."
            " Start one rank for each GPU, or give device='cpu'"
        )
    return torch.device("cuda", local_rank)


def as_tensor(array: Any, dtype: torch.dtype, device: torch.device, *, labels: bool = False) -> Any:
    """Return an array of numbers as a tensor: floats in the module's dtype, the rest as it is. Text stays text.

    Args:
        array: NumPy's, of the user's data. Its memory is shared where it can be.
        dtype: of the module's weights.
        device: of the module.
        labels: whether integers become int64, as losses of torch want class numbers.
    """
    if array.dtype.kind not in _NUMBERS:
        return array
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()  # torch has neither read-only tensors nor such that run backwards
    tensor = torch.from_numpy(array)
    if tensor.is_floating_point():
        tensor = tensor.to(dtype)
    elif labels and array.dtype.kind in "iu":
        tensor = tensor.to(torch.int64)
    return tensor.to(device)


def as_array(tensor: Any) -> Any:
    """Return a tensor as a NumPy array, which shares its memory where it can. What is no tensor stays what it is."""
    if not isinstance(tensor, torch.Tensor):
        return tensor
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def seed_torch(seed: int, step: int, first_row: int, device: torch.device) -> None:
    """Seed torch's own random numbers for a rank's rows of a step.

    What a module draws then is the same whenever a training comes to that step with as many ranks; it depends on how
    rows are divided among ranks, since torch draws for all of a rank's rows at once.
    """
    drawn = np.random.SeedSequence([seed, step, first_row]).generate_state(1, np.uint64)
    number = int(drawn[0]) >> 1
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
