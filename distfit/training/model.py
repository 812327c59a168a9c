"""A model: an engine that computes it, the ranks that train it, and Keras's methods."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from distfit.callbacks.dispatch.logs import AggregatedLogs
from distfit.comm import Communicator
from distfit.data import Batch
from distfit.engines import Engine, Evaluated, LossValue, NumpyEngine, Step
from distfit.errors import ModelTorn, NotCompiled
from distfit.layers import Layer
from distfit.layers.graph import tensors_of
from distfit.random import draw_seed
from distfit.training import calls, on_batch, saving, step
from distfit.training.compiled import Compiled
from distfit.training.compiled import compile as compile_model
from distfit.training.divergence import Divergence
from distfit.training.numerics import Numerics
from distfit.training.progress import Progress
from distfit.training.scores import Scores
from distfit.training.shared_state import SharedState
from distfit.training.start import TORN
from distfit.training.summary import summary
from distfit.training.update import Everywhere, Update
from distfit.utils.nested import leaves
from distfit.utils.seeding import random_seed


class Model:
    """A model that is trained on many ranks as it would be on one.

    Args:
        inputs: symbolic inputs: one, a list, or a dict of `layers.Input`.
        outputs: what layers made of them.
        comm: the ranks that train it together. Defaults to all ranks of the job.
        name: in summaries.
        engine: what computes the model, instead of `inputs` and `outputs`.

    Attributes:
        stop_training, stop_evaluating, stop_predicting: set by callbacks; they hold on all ranks.
        interrupted: True where the last training was asked to end, by SIGUSR1, SIGTERM or a `TimeLimit`, before it was
            done; on all ranks.
        history: the `History` of the last `fit`.
        scores: the running metrics of the epoch.
        progress: how far training has come.
        shared_state: what every rank holds an equal copy of.
        update: how all ranks' gradients become new weights.
        divergence: sees to it that it stays equal.
        numerics: looks after NaN and infinities; ``numerics.skipped`` counts the updates that were left out.

    Example:
        >>> import numpy as np
        >>> from distfit import Model, layers
        >>> x = layers.Input((4,))
        >>> model = Model(x, layers.Dense(2)(layers.Dense(8, activation="relu")(x)))
        >>> model.compile(optimizer="sgd", loss="mse")
        >>> history = model.fit(np.ones((6, 4)), np.zeros((6, 2)), batch_size=4, epochs=2, verbose=0)
        >>> len(history.history["loss"])
        2
        >>> model.predict(np.ones((3, 4)), verbose=0).shape
        (3, 2)
    """

    stop_training = False
    stop_evaluating = False
    stop_predicting = False
    interrupted = False
    history: Any = None

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        *,
        comm: Communicator | None = None,
        name: str | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.name = name or type(self).__name__.lower()
        self._comm = comm
        self._compiled: Compiled | None = None
        self._scores: Scores | None = None
        self._engine: Engine | None = engine
        seed = random_seed()
        self.progress = Progress(draw_seed() if seed is None else seed)
        self.shared_state = SharedState(self)
        self.update: Update = Everywhere(self)
        self.divergence = Divergence(self)
        self.numerics = Numerics(self)
        if outputs is not None:
            self._set_graph(inputs, outputs)

    def _set_graph(self, inputs: Any, outputs: Any) -> None:
        tensors = tensors_of(inputs)
        if isinstance(inputs, dict):
            for key, tensor in inputs.items():
                tensor.name = key
        several = isinstance(outputs, (list, tuple))
        self._engine = NumpyEngine(tensors, tensors_of(outputs), self.progress.seed, single=not several)

    @property
    def comm(self) -> Communicator:
        """The ranks that train the model together."""
        if self._comm is None:
            self._comm = Communicator.world()
        return self._comm

    @contextmanager
    def solo(self) -> Iterator[None]:
        """Work on this rank's own behalf in a block: the model evaluates, predicts and saves alone there.

        Ranks: local; those that want to.
        """
        with self.comm.solo():
            yield

    # -- what the model is made of ------------------------------------------------------------------------------------

    def build(self, row_shapes: list[tuple[int, ...]]) -> None:
        """Make the layers' weights for inputs of these row shapes, unless they are there."""

    @property
    def built(self) -> bool:
        """Whether the model has weights yet."""
        return self._engine is not None

    @property
    def engine(self) -> Engine:
        """What computes the model.

        Raises:
            ValueError: if its input's shape is not known yet.
        """
        if self._engine is None:
            raise ValueError(
                "the model has no weights yet, since the shape of its input is not known: give the first layer an"
                " input_shape=, or fit it on arrays first"
            )
        return self._engine

    @property
    def graph_engine(self) -> NumpyEngine:
        """The engine, where it runs distfit's layers.

        Raises:
            TypeError: where it does not.
        """
        if not isinstance(self.engine, NumpyEngine):
            raise TypeError(
                f"a model of a {type(self.engine).__name__} has none of distfit's layers, of which save and load_model"
                " make a model: take save_weights and load_weights, or checkpoints"
            )
        return self.engine

    @property
    def layers(self) -> list[Layer]:
        """The layers, in the order in which they run."""
        return list(self.graph_engine.graph.layers)

    @property
    def output_shape(self) -> Any:
        """The shape of one row of the output; a list of them where there are several; None where it is not known."""
        return self.engine.output_shape

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by its name or its index.

        Raises:
            ValueError: if there is none; the text lists the names.
        """
        if index is not None:
            return self.layers[index]
        for layer in self.layers:
            if self.graph_engine.names[layer] == name:
                return layer
        raise ValueError(f"no layer {name!r}. Layers are: {', '.join(self.graph_engine.names.values())}")

    def summary(self, print_fn: Any = None) -> None:
        """Print the model's parts, their shapes and their numbers of weights, on root.

        Args:
            print_fn: called with the text instead.

        Ranks: local; root prints.
        """
        (print_fn or self.comm.print)(summary(self))

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of all weights, in Keras's order.

        Ranks: local.
        """
        return [variable.value.copy() for variable in self.engine.variables]

    def set_weights(self, weights: list[Any]) -> None:
        """Write all weights.

        Raises:
            ValueError: if their number or a shape does not fit; then nothing was written.

        Ranks: local. What root has holds from the next `fit`, `evaluate` or `predict` on; in a callback, when its hook
            has run. In a loop of one's own that calls `train_step`, write on all ranks.
        """
        variables = self.engine.variables
        shapes = [np.shape(weight) for weight in weights]
        expected = [variable.value.shape for variable in variables]
        if shapes != expected:
            raise ValueError(f"the model's weights have shapes {expected}. Received: {shapes}")
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight)
        self.progress.torn = False

    # -- compile ------------------------------------------------------------------------------------------------------

    compile = compile_model

    def take_compiled(self, compiled: Compiled) -> None:
        """Train from here on as `compile` has read it.

        Ranks: local.
        """
        self._compiled = compiled
        self._scores = None
        self.progress.forget_gradients()
        if self._engine is not None:
            self._engine.compile(compiled.optimizer)

    @property
    def compiled(self) -> Compiled:
        """What `compile` was given.

        Raises:
            NotCompiled: before `compile`.
        """
        if self._compiled is None:
            raise NotCompiled(
                "the model has no loss and no optimizer yet: call compile(optimizer=..., loss=...) first"
            )
        return self._compiled

    def describe_compiled(self) -> str:
        """Return what `compile` was given as text, by which ranks compare it."""
        return "" if self._compiled is None else self._compiled.describe()

    @property
    def optimizer(self) -> Any:
        """What changes the weights; None before `compile`."""
        return None if self._compiled is None else self._compiled.optimizer

    @property
    def steps_per_execution(self) -> int:
        """How many global batches lie between two calls of batch hooks."""
        return 1 if self._compiled is None else self._compiled.steps_per_execution

    @property
    def loss(self) -> Any:
        """What is minimised."""
        return self.compiled.loss

    @property
    def metrics(self) -> list[Any]:
        """The metrics that logs show besides the loss."""
        plain, weighted = self.compiled.resolve(self.output_shape)
        return [*plain, *weighted, *self.engine.own_metrics]

    @property
    def scores(self) -> Scores:
        """The running metrics of the epoch."""
        if self._scores is None:
            self._scores = self.new_scores()
        return self._scores

    def new_scores(self) -> Scores:
        """Return metrics that have seen no row."""
        return self.compiled.scores(self.output_shape)

    def reset_metrics(self) -> None:
        """Forget the rows that the running metrics have seen.

        Ranks: local.
        """
        self.scores.reset()

    def prepare(self, row_shapes: list[tuple[int, ...]]) -> None:
        """Be ready for rows of these shapes: built, and compiled if `compile` was called.

        Ranks: local.
        """
        if self._engine is None:
            self.build(row_shapes)
            if self._compiled is not None:
                self.engine.compile(self._compiled.optimizer)

    # -- one step -----------------------------------------------------------------------------------------------------

    def train_step(self, data: Any) -> AggregatedLogs:
        """Train on one global batch. `fit` calls this, so that an override means the same there and in one's own loop.

        Args:
            data: this rank's rows: ``(x, y)``, ``(x, y, sample_weight)``. A rank may have any number of them, or none.

        Returns:
            The metrics since `reset_metrics`, over all rows of all ranks; equal on all of them.

        Raises:
            RemoteError: and the class of what was raised, if another rank failed. What is trained is as before the step
                then; moving statistics may have moved.

        Ranks: every rank; see `distfit.training.step`. Override `compute_loss` or `compute_gradients` to change what a
            rank does with its own rows.
        """
        if isinstance(data, Batch):  # of a feed: the operation that made it has checked what is checked below
            self.shared_state.share_if_stale()
            return step.train_step(self, data, self.scores)
        self.comm.require_all_ranks("train_step")
        if self.progress.fetched is None:  # a loop of the user's, of which nothing is known
            self.progress.hooks_came_before = self.progress.logs_are_read = True
        with self.comm.guard():
            if self.progress.torn:
                raise ModelTorn(TORN)
            batch = Batch.of(data, self.comm.rank, self.progress.fetched)
            if len(batch):
                self.prepare([np.shape(leaf)[1:] for _, leaf in leaves(batch[0])])
            self.shared_state.share_if_stale()
            return step.train_step(self, batch, self.scores)

    @property
    def has_own_train_step(self) -> bool:
        """Whether the user overrides `train_step`."""
        return type(self).train_step is not Model.train_step

    @property
    def has_own_compute_gradients(self) -> bool:
        """Whether the user overrides `compute_gradients`, in a class or for this model."""
        return (
            "compute_gradients" in vars(self) or type(self).compute_gradients is not Model.compute_gradients
        )

    def compute_gradients(self, x: Any, y: Any, sample_weight: Any, step: Step) -> Evaluated:
        """Add the gradients of this rank's rows, summed, to the engine's gradient arena.

        Ranks: local, but for layers that sum over the batch; not called on a rank without rows.
        """
        return self.engine.compute_gradients(x, y, sample_weight, step, self.compute_loss)

    def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> LossValue:  # noqa: ARG002
        """Return the sum of the losses of this rank's rows, the number of values in it, and its gradient.

        Args:
            x: inputs.
            y: targets.
            y_pred: the model's output.
            sample_weight: ``(rows,)``, or None.

        Ranks: local; not called on a rank without rows.
        """
        if self.loss is None:
            raise NotCompiled("the model has no loss: call compile(loss=...) first")
        if y is None:
            raise ValueError("the loss compares y with the model's output, but y is None")
        return self.engine.loss_value(self.loss, y, y_pred, sample_weight)

    def finish_training(self) -> None:
        """Put the averaged weights in place, where the optimizer keeps some.

        Ranks: local, on all ranks alike.
        """
        self.optimizer.finalize_ema(self.engine.parameters)
        self.engine.publish()

    # -- Keras's methods ----------------------------------------------------------------------------------------------

    fit = calls.fit
    evaluate = calls.evaluate
    predict = calls.predict
    train_on_batch = on_batch.train_on_batch
    test_on_batch = on_batch.test_on_batch
    predict_on_batch = on_batch.predict_on_batch
    save_weights = saving.save_weights
    load_weights = saving.load_weights
    save = saving.save
    as_checkpoint = saving.as_checkpoint
