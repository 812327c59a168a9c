"""Models of other libraries: each is a `Model` that holds the engine of that library, which is imported here first."""

from __future__ import annotations

from collections.abc import Callable
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


def JaxModel(  # noqa: N802 - it reads as the class of what it returns
    apply: Callable[..., Any],
    params: Any,
    *,
    state: Any = None,
    trainable: Callable[[str], bool] | None = None,
    output_shape: tuple[int, ...] | None = None,
    comm: Communicator | None = None,
    name: str | None = None,
) -> Model:
    """Return a model that trains a function of JAX on many ranks, as one rank would.

    Behind `fit` ``model.engine.params`` holds what was learned, in the pytree in which it was given.

    Args:
        apply: ``apply(params, x)`` returns the output for rows. Where it has parameters of these names, it is called
            with ``training=``, a bool; with ``rng=``, a key of JAX's for each row, or None where nothing is drawn; and
            with ``state=``, and returns the output and the new state then.
        params: a pytree of numbers, float32 or float64, which are trained.
        state: a pytree of what a training pass changes, such as moving averages.
        trainable: says of a parameter, by its name such as ``"dense/kernel"``, whether it is trained. Defaults to all.
        output_shape: of one row of the output, where a metric such as F1Score has to know it.
        comm: the ranks that train it together. Defaults to all ranks of the job.
        name: in summaries. Defaults to the function's.

    Raises:
        ImportError: without JAX; the text names the extra to install.
        TypeError: if the parameters have several dtypes, or are no numbers.
        ValueError: if `state` and what the function takes do not agree.

    Ranks: local; every rank makes its own, of the same function. Root's parameters hold.
    """
    from distfit.engines.jax import JaxEngine

    engine = JaxEngine(apply, params, state=state, trainable=trainable, output_shape=output_shape)
    return Model(engine=engine, comm=comm, name=name or getattr(apply, "__name__", "function"))


def KerasModel(  # noqa: N802 - it reads as the class of what it returns
    model: Any,
    *,
    invariant: bool = True,
    comm: Communicator | None = None,
    name: str | None = None,
) -> Model:
    """Return a model that trains one of Keras on many ranks, as one rank would.

    What it was compiled with is taken over: loss, optimizer and metrics. Behind `fit` the model itself holds what was
    learned.

    Args:
        model: a built `keras.Model`, on Keras's JAX backend.
        invariant: whether batch normalization and dropout within it see the global batch, and draw by row: only then
            any number of ranks gives one rank's answer. See docs/engines.md.
        comm: the ranks that train it together. Defaults to all ranks of the job.
        name: in summaries. Defaults to the model's.

    Raises:
        ImportError: without Keras, or on another backend; the text says what to do.
        TypeError: if it is no model of Keras.
        ValueError: if it is not built, or does what no sum over ranks is; the text names the layer.

    Ranks: local; every rank makes its own, of the same structure. Root's weights hold.
    """
    from distfit.engines.keras import KerasEngine, compiled_with

    trained = Model(engine=KerasEngine(model, invariant=invariant), comm=comm, name=name or model.name)
    if model.compiled:
        trained.compile(**compiled_with(model))
    return trained
