"""Models of other libraries: each is a `Model` that holds the engine of that library, which is imported here first."""

from __future__ import annotations

from typing import Any

from distfit.comm import Communicator
from distfit.training.model import Model


def TorchModel(  # noqa: N802 - it reads as the class of what it returns
    module: Any,
    *,
    device: str = "auto",
    invariant: bool = True,
    output_shape: tuple[int, ...] | None = None,
    comm: Communicator | None = None,
    name: str | None = None,
) -> Model:
    """Return a model that trains a module of PyTorch on many ranks, as one rank would.

    The module is trained itself: behind `fit` its parameters hold what was learned.

    Args:
        module: a `torch.nn.Module`; what `torch.compile` returned is one, too.
        device: ``"auto"`` is a GPU for each rank of a machine, or the CPU where there is none; or a name of torch's.
        invariant: whether `nn.BatchNorm` and `nn.Dropout` within it are exchanged for layers that normalize by the
            global batch, and drop by row: only then any number of ranks gives one rank's answer. See docs/engines.md.
        output_shape: of one row of the output, where a metric such as F1Score has to know it.
        comm: the ranks that train it together. Defaults to all ranks of the job.
        name: in summaries. Defaults to that of the module's class.

    Raises:
        ImportError: without PyTorch; the text names the extra to install.
        TypeError: if it is no module, or its parameters have several dtypes.
        ValueError: if a machine has more ranks than GPUs.

    Ranks: local; every rank makes its own, of a module of the same structure. Root's weights hold.
    """
    from distfit.engines.torch import TorchEngine

    engine = TorchEngine(module, device=device, invariant=invariant, output_shape=output_shape)
    return Model(engine=engine, comm=comm, name=name or type(module).__name__.lower())
