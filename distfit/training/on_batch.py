"""Keras's methods for one global batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distfit.callbacks import CallbackList
from distfit.data import read_inputs
from distfit.training.calls import as_keras_returns, predict
from distfit.training.evaluate_loop import evaluate as evaluate_loop
from distfit.training.feeds import Batching
from distfit.training.start import begin

if TYPE_CHECKING:
    from distfit.training.model import Model


def train_on_batch(
    self: Model,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: dict[int, float] | None = None,
    return_dict: bool = False,
) -> Any:
    """Train on one global batch, which all ranks are given whole and share among them.

    Args:
        x, y: the batch; a `data.LocalPart` where each rank gives its own rows.
        sample_weight: weights of the loss by row.
        class_weight: weights of the loss by class number.
        return_dict: whether values are returned by name.

    Returns:
        The loss, or a list of it and the metrics, or a dict; of this batch alone, equal on all ranks.

    Raises:
        ValueError: for sample_weight and class_weight together; and all that `fit` raises.

    Ranks: every rank together.
    """
    self.comm.require_all_ranks("train_on_batch")
    with self.comm.operation("train_on_batch"):
        if sample_weight is not None and class_weight is not None:
            raise ValueError("train_on_batch takes sample_weight or class_weight, not both")
        self.compiled  # noqa: B018 - raises before compile
        inputs = read_inputs(x, y, sample_weight, class_weight)
        feed = begin(self, {"": (inputs, Batching(steps=1, training=True))}, {}).feeds[""]
        self.reset_metrics()
        feed.begin(0, self.progress.seed)
        self.train_step(feed.fetch(self.progress.step))
        self.scores.finish(self.comm)
    return as_keras_returns(self.scores.results(), return_dict=return_dict)


def test_on_batch(
    self: Model, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
) -> Any:
    """Evaluate one global batch, which all ranks are given whole and share among them.

    Args:
        x, y, sample_weight: the batch; in a `data.LocalPart` where each rank gives its own rows.
        return_dict: whether values are returned by name.

    Returns:
        As `train_on_batch`.

    Ranks: every rank together; in a solo block this rank alone.
    """
    with self.comm.operation("test_on_batch"):
        self.compiled  # noqa: B018 - raises before compile
        inputs = read_inputs(x, y, sample_weight)
        feed = begin(self, {"": (inputs, Batching(steps=1))}, {}).feeds[""]
        scores = evaluate_loop(self, feed, CallbackList(model=self), lambda has_next: None)  # noqa: ARG005
    return as_keras_returns(scores.results(), return_dict=return_dict)


def predict_on_batch(self: Model, x: Any) -> Any:
    """Return the model's output for one global batch, all rows of it on all ranks.

    Ranks: every rank together; in a solo block this rank alone.
    """
    return predict(self, x, verbose=0, steps=1)
