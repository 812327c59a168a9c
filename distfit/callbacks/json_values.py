"""Log values as JSON, which knows neither arrays nor NaN."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distfit.callbacks.callback import Logs


def json_row(epoch: int, logs: Logs | None) -> dict[str, Any]:
    """Return an epoch's number and its logs as what JSON can hold.

    Ranks: local.
    """
    row = {"epoch": epoch} | {key: as_json(value) for key, value in (logs or {}).items()}
    row["epoch"] = epoch
    return row


def as_json(value: Any) -> Any:
    """Return a value as what JSON can hold: arrays as lists, and what is not finite as text.

    JSON has no NaN and no infinity. The text is that of Protocol Buffers' JSON: ``"NaN"``, ``"Infinity"`` and
    ``"-Infinity"``, which Python's `float` and JavaScript's `Number` turn back into the number. A value that JSON has
    no form for becomes its own text.

    Ranks: local.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        return as_json(value.tolist())
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(name): as_json(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
