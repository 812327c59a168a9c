"""The metrics of an epoch or an evaluation: sums over all ranks, from which every log value is computed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distfit.callbacks.dispatch.logs import AggregatedLogs
from distfit.comm import CAPACITY, Communicator
from distfit.metrics import Metric, State

Saved = dict[str, Any]
"""What metrics have seen of an epoch, as a checkpoint holds it: arrays, by the metric's name and its field's."""

LOSS, WEIGHT = 0, 1
_OF_OTHER_STATES = (KeyError, IndexError, TypeError, ValueError)
_HEAD = 2  # the sum of the loss over rows, and the number of its values


class Scores:
    """Running metrics.

    What a step's rows contribute to the metrics whose state is a sum is one vector. It rides in the step's agreement,
    so that after each step every rank holds the sums over all ranks: the logs of batch hooks are exact, and equal
    everywhere, at no message of their own. A metric whose state is no sum, or does not fit, stays local until
    `finish`, and stands in the logs of epochs only; at one rank too, so that logs have the same keys at any number.

    Args:
        metrics: that ignore sample weights.
        weighted: that use them.
    """

    def __init__(self, metrics: list[Metric], weighted: list[Metric]) -> None:
        self._metrics = [(metric, False) for metric in metrics] + [(metric, True) for metric in weighted]
        self._riding: list[tuple[Metric, bool, dict[str, slice]]] = []
        self._late: list[tuple[Metric, bool]] = []
        self.length = _HEAD
        for metric, use_weight in self._metrics:
            fields = metric.fields
            needed = sum(int(np.prod(field.shape)) for field in fields.values())
            if needed + self.length > CAPACITY or any(field.reduction != "sum" for field in fields.values()):
                self._late.append((metric, use_weight))
                continue
            places = {}
            for name, field in fields.items():
                places[name] = slice(self.length, self.length + int(np.prod(field.shape)))
                self.length = places[name].stop
            self._riding.append((metric, use_weight, places))
        self._vector = np.zeros(self.length)
        self._fields = [
            {name: self._vector[place] for name, place in places.items()} for _, _, places in self._riding
        ]
        self.reset()

    def reset(self) -> None:
        """Forget all rows."""
        self._sums = np.zeros(self.length)
        self._late_states: list[State] = [metric.zero() for metric, _ in self._late]
        self._merged: list[State] = []
        self._has_skipped = False

    def measure(self, total: float, weight: float, y: Any, y_pred: Any, sample_weight: Any) -> np.ndarray:
        """Return what this rank's rows contribute, as the vector that is to be summed over all ranks.

        Args:
            total: the sum of their losses.
            weight: the number of loss values.
            y: targets.
            y_pred: predictions.
            sample_weight: ``(rows,)``, or None.
        """
        vector = self._vector
        vector[LOSS], vector[WEIGHT] = total, weight
        for (metric, use_weight, _), fields in zip(self._riding, self._fields, strict=True):
            state = metric.measure(y, y_pred, sample_weight if use_weight else None)
            try:
                for name, field in fields.items():
                    field[...] = state[name] if field.size == 1 else np.ravel(state[name])
            except _OF_OTHER_STATES as error:
                raise _other_state(metric, state) from error
        # Merged now: behind the agreement on a step the others may be in a reduction already when this raises.
        self._merged = []
        for (metric, use_weight), before in zip(self._late, self._late_states, strict=True):
            state = metric.measure(y, y_pred, sample_weight if use_weight else None)
            try:
                merged = metric.merge(before, state)
                for name, known in metric.fields.items():
                    np.reshape(merged[name], known.shape)
            except _OF_OTHER_STATES as error:
                raise _other_state(metric, state) from error
            self._merged.append(merged)
        return vector

    def absorb(self, sums: np.ndarray) -> float:
        """Add a step's sums over all ranks, and return the number of loss values among them."""
        if self._merged:
            self._late_states, self._merged = self._merged, []
        if not sums.size:  # no rank had a row
            return 0.0
        self._sums += sums
        return float(sums[WEIGHT])

    def disregard(self) -> None:
        """Forget what was measured since the last `absorb`: the rows of a step that is skipped."""
        self._merged, self._has_skipped = [], True

    def finish(self, comm: Communicator) -> None:
        """Bring the metrics together that no step carried.

        Ranks: every rank; one small message, and one reduction for each field of such a metric; nothing without any.
        """
        self._late_states = self._brought_together(comm)

    def _brought_together(self, comm: Communicator) -> list[State]:
        """Return the states that no step carried, over all ranks."""
        if not self._late:
            return []
        states = [
            {name: np.array(state[name], np.float64, ndmin=1) for name in metric.fields}
            for (metric, _), state in zip(self._late, self._late_states, strict=True)
        ]
        comm.reach("the metrics of an epoch")
        for (metric, _), state in zip(self._late, states, strict=True):
            for name, field in metric.fields.items():
                comm.transport.all_reduce(state[name], field.reduction)
        return [
            {name: state[name].reshape(field.shape) for name, field in metric.fields.items()}
            for (metric, _), state in zip(self._late, states, strict=True)
        ]

    def saved(self, comm: Communicator) -> Saved:
        """Return what has been seen of the epoch so far, over all ranks.

        Ranks: every rank; as `finish`.
        """
        late = zip(self._late, self._brought_together(comm), strict=True)
        riding = {
            metric.name: {name: self._sums[place].copy() for name, place in places.items()}
            for metric, _, places in self._riding
        }
        states = {metric.name: dict(state) for (metric, _), state in late}
        return {"loss": self._sums[:_HEAD].copy(), "riding": riding, "late": states}

    def restore(self, saved: Saved, *, is_root: bool) -> None:
        """Go on from what `saved` returned, on however many ranks.

        Args:
            saved: what has been seen of the epoch.
            is_root: whether this rank is root, to which fall the states that no step carries: ranks merge these at the
                epoch's end, each row once.

        Raises:
            ValueError: if it is that of other metrics. Nothing is changed then.

        Ranks: local, on all ranks alike.
        """
        here = [*(metric.name for metric, _, _ in self._riding), *(metric.name for metric, _ in self._late)]
        there = [*saved["riding"], *saved["late"]]
        if here != there:
            raise ValueError(
                "the checkpoint lies within an epoch, and has other metrics: compile the model with the same ones."
                f" Received: {', '.join(here) or 'none'}; it has: {', '.join(there) or 'none'}"
            )
        self.reset()
        self._sums[:_HEAD] = saved["loss"]
        for metric, _, places in self._riding:
            for name, place in places.items():
                self._sums[place] = saved["riding"][metric.name][name]
        if is_root:
            self._late_states = [
                {name: np.asarray(saved["late"][metric.name][name]) for name in metric.fields}
                for metric, _ in self._late
            ]

    def logs(self) -> AggregatedLogs:
        """Return the values so far as batch hooks see them: of the metrics that steps carry."""
        return AggregatedLogs.of(self._so_far())

    def epoch_logs(self) -> AggregatedLogs:
        """Return all values as the hooks of an epoch see them; to be called after `finish`."""
        return AggregatedLogs.of(self.results())

    def results(self) -> dict[str, Any]:
        """Return all values, in the order of compile; to be called after `finish`."""
        known = self._so_far()
        for (metric, _), state in zip(self._late, self._late_states, strict=True):
            known[metric.name] = metric.compute(state)
        if self._has_skipped and not self._sums[WEIGHT]:  # of all steps: a loss of 0 would be the best of all
            known = {name: np.asarray(value, np.float64) * math.nan for name, value in known.items()}
            known = {name: value if value.ndim else float(value) for name, value in known.items()}
        return {name: known[name] for name in ["loss", *(m.name for m, _ in self._metrics)]}

    def _so_far(self) -> dict[str, Any]:
        results = {metric.name: self._result(metric, places) for metric, _, places in self._riding}
        return {"loss": self._loss(), **results}

    def _loss(self) -> float:
        return float(self._sums[LOSS] / self._sums[WEIGHT]) if self._sums[WEIGHT] else 0.0

    def _result(self, metric: Metric, places: dict[str, slice]) -> Any:
        shapes = metric.fields
        return metric.compute(
            {name: self._sums[place].reshape(shapes[name].shape) for name, place in places.items()}
        )


def _other_state(metric: Metric, state: Any) -> ValueError:
    """Return the error of a metric that has measured something else than its fields."""
    shapes = {name: field.shape for name, field in metric.fields.items()}
    return ValueError(
        f"measure of the metric {metric.name!r} returns a number or an array for each of its fields, of these shapes:"
        f" {shapes}. Received: {state!r}"
    )
