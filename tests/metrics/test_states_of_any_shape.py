"""What a metric of a user's own returns may have any shape of the right size, and no other size."""

from typing import Any

import numpy as np
import pytest

from distfit.metrics import Metric
from distfit.metrics.statistic import Field
from distfit.training.scores import Scores


class Confusion(Metric):
    """Counts pairs of two classes, in a state of the shape that it is told."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__("confusion", "max")
        self.fields = {"pairs": Field(shape=(2, 2)), "rows": Field()}
        self._shape = shape

    def measure(self, y_true: Any, y_pred: Any, sample_weight: Any) -> dict[str, np.ndarray]:
        pairs = np.bincount(2 * y_true + y_pred, minlength=4)[: int(np.prod(self._shape))]
        return {"pairs": pairs.reshape(self._shape), "rows": np.array([len(y_true)])}

    def compute(self, state: dict[str, np.ndarray]) -> float:
        return float(state["pairs"][1, 1] / state["rows"])


def measured(shape: tuple[int, ...]) -> float:
    scores = Scores([Confusion(shape)], [])
    scores.absorb(scores.measure(1.0, 4.0, np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]), None))
    return scores.results()["confusion"]


@pytest.mark.parametrize("shape", [(2, 2), (4,), (4, 1)])
def test_any_shape_of_the_right_size(shape: tuple[int, ...]) -> None:
    assert measured(shape) == 2 / 4


def test_no_other_size() -> None:
    with pytest.raises(ValueError, match=r"measure of the metric 'confusion' returns .* of these shapes"):
        measured((2,))


@pytest.mark.parametrize("state", [{"pair": 1.0, "rows": 4}, None])
def test_a_metric_without_its_fields_is_named(state: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Confusion, "measure", lambda *_: state)
    with pytest.raises(ValueError, match=r"measure of the metric 'confusion' returns .* Received: "):
        measured((2, 2))
