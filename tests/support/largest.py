"""A metric that no step carries: its state is a maximum."""

from typing import Any

import numpy as np

from distfit import metrics


class Largest(metrics.Metric):
    """One whose state stays on each rank until the end of an epoch."""

    def __init__(self) -> None:
        super().__init__("largest", direction="min")
        self.fields = {"error": metrics.Field((), "max")}

    def measure(self, y_true: Any, y_pred: Any, sample_weight: Any) -> dict[str, Any]:
        return {"error": np.abs(y_true - y_pred).max()}

    def compute(self, state: dict[str, Any]) -> float:
        return float(state["error"])
