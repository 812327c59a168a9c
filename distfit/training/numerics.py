"""What is done where numbers go wrong: where the loss or the gradients of a step are NaN or infinite.

The step's message has told all ranks the same loss, and after the reduction all of them know whether the sums of the
gradients are finite: each by itself where it holds all of them, by one message where each holds a part. A loss that is
not finite counts even if the gradients are: the rows that gave it cannot be trusted. Only where `compile` asks for an
error do the ranks work once more: each computes its rows again (what is random in them depends on nothing but seed,
step and row), looks where the first such number appears, and one gather tells all of them.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np

from distfit.data import Batch, unpack
from distfit.engines import NonFinite, Step
from distfit.engines.nonfinite import DATA, find
from distfit.errors import NonFiniteNumbers
from distfit.training.scores import LOSS
from distfit.training.step import TRAINING, agree_on_step
from distfit.utils.nested import leaves

if TYPE_CHECKING:
    from distfit.training.model import Model


Found = tuple[NonFinite, int, str]
"""A place, the rank whose it is, and its rows in words."""

_MOST_ROWS = 5


class Numerics:
    """Watches the numbers of training steps, by what `compile` was told of them.

    An update is that of one step, or of several whose gradients are accumulated: it is made as a whole, or not at all.
    Where it is not, layers' moving averages are as before its first step, too.

    Args:
        model: what is trained.

    Attributes:
        skipped: updates that were left out since the model was made.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._layer_state: list[np.ndarray] = []
        self._steps: list[tuple[Batch, Step]] = []
        self._is_finite = True
        self.skipped = 0

    @property
    def _policy(self) -> str:
        return self._model.compiled.on_nan

    def begin_update(self) -> None:
        """Note what the steps of an update change before it is known whether they should.

        Ranks: local, on all ranks alike.
        """
        if self._policy == "ignore":
            return
        self._layer_state = [array.copy() for array in self._model.engine.layer_state]
        self._steps, self._is_finite = [], True

    def accepts(self, batch: Batch, step: Step, sums: np.ndarray) -> bool:
        """Say whether a step's rows count in the scores.

        Args:
            batch: this rank's rows.
            step: under which they were computed.
            sums: what was measured, over all ranks.

        Raises:
            NonFiniteNumbers: on all ranks, if the loss is not finite, and that is to be an error.

        Ranks: every rank, behind the step's agreement; no message where all is well.
        """
        if self._policy == "ignore":
            return True
        if self._policy == "raise":
            self._steps.append((batch, step))
        if not sums.size or math.isfinite(sums[LOSS]):
            return True
        if self._policy == "raise":
            self._raise()
        self._is_finite = False
        return False

    def allows_update(self) -> bool:
        """Say whether the weights may be changed by the reduced gradients.

        Raises:
            NonFiniteNumbers: on all ranks, if they are not finite, and that is to be an error.

        Ranks: every rank, behind the reduction; the message of `Update.is_finite`, or none.
        """
        if self._policy == "ignore" or (self._is_finite and self._model.update.is_finite()):
            return True
        if self._policy == "raise":
            self._raise()
        self._restore_layer_state()
        self.skipped += 1
        if self.skipped == 1 and self._model.comm.is_root:
            warnings.warn(
                f"the loss or the gradients of step {self._model.progress.step} are NaN or infinite: this update is"
                " skipped, and so will be others of which that is true. model.numerics.skipped counts them;"
                " compile(on_nan='raise') says where it comes from",
                stacklevel=4,
            )
        return False

    def _restore_layer_state(self) -> None:
        for array, before in zip(self._model.engine.layer_state, self._layer_state, strict=True):
            array[...] = before

    def _raise(self) -> None:
        """Find out where the first number that is not finite appeared, and raise.

        Ranks: every rank; see `_find`.
        """
        progress = self._model.progress
        progress.forget_gradients()
        reached = progress.step
        self._restore_layer_state()
        try:
            number, found = self._find()
        finally:
            progress.step = reached
            self._restore_layer_state()
        raise NonFiniteNumbers(
            f"step {number + 1} gave NaN or infinity: {_describe(found)}. The weights are as before it. Look for such"
            " numbers, or very large ones, in the data, lower the learning rate, or let compile(on_nan='skip') leave"
            " such steps out"
        )

    def _find(self) -> tuple[int, list[Found]]:
        """Return the number of the first step that is to blame, and the first place in it on each rank that has one.

        Ranks: every rank; the messages of each step once more, and a gather behind each.
        """
        number = -1
        for batch, step in self._steps:
            number = self._model.progress.step = step.number  # a user's compute_loss may look at it
            places = enumerate(self._model.comm.all_gather_object(self._look(batch, step)))
            found = sorted((place, rank, rows) for rank, (place, rows) in places if place is not None)
            if found:
                return number, found
        return number, []

    def _look(self, batch: Batch, step: Step) -> tuple[NonFinite | None, str]:
        """Compute this rank's rows again, and return the first place that is not finite, and its rows in words.

        Ranks: every rank; the messages of a step.
        """
        model = self._model
        x, y, sample_weight = unpack(batch)
        named = [
            (f"{name}{path}", leaf)
            for name, part in (("x", x), ("y", y), ("sample_weight", sample_weight))
            for path, leaf in leaves(part)
        ]
        first: list[NonFinite | None] = []

        def compute() -> np.ndarray:
            first.append(find(DATA, named, by_row=True))
            first.append(
                model.engine.find_nonfinite(lambda: model.compute_gradients(x, y, sample_weight, step))
            )
            return np.empty(0)

        agree_on_step(model, model.comm, batch, compute, TRAINING)
        place = min((one for one in first if one is not None), default=None)
        return place, "" if place is None else _name_rows(batch, place.rows)


def _name_rows(batch: Batch, rows: tuple[int, ...]) -> str:
    if not rows:
        return ""
    numbers = list(rows) if batch.numbers is None else batch.numbers[list(rows)].tolist()
    named = ", ".join(map(str, numbers[:_MOST_ROWS]))
    more = f" and {len(numbers) - _MOST_ROWS} more" if len(numbers) > _MOST_ROWS else ""
    whose = "of its part of the batch" if batch.numbers is None else "of the data set"
    return f", row{'s' if len(numbers) > 1 else ''} {named}{more} {whose}"


def _describe(found: list[Found]) -> str:
    """Say what came first, and on which rank or ranks."""
    if not found:
        return "each rank's gradients are finite, but not their sum"
    (first, *_), *_ = found
    same = [(rank, rows) for place, rank, rows in found if place[:3] == first[:3]]
    return f"first in {first.what}, " + " and ".join(f"on rank {rank}{rows}" for rank, rows in same)
