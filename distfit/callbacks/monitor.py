"""Whether a monitored value got better: the one place that knows what better means."""

from __future__ import annotations

import warnings
from typing import Any, Literal

from distfit.callbacks.callback import Callback, Logs

Mode = Literal["auto", "min", "max"]


class Monitor:
    """Compares the values of one key of the logs.

    Args:
        key: of the logs, such as ``"val_loss"``.
        mode: ``"min"``, ``"max"``, or ``"auto"``: a loss is better when it falls, a metric as its `direction` says.
        min_delta: by how much a value has to be better.

    Example:
        >>> monitor = Monitor("val_loss", "min", min_delta=0.1)
        >>> monitor.improved(0.85, 1.0, model=None), monitor.improved(0.95, 1.0, model=None)
        (True, False)

    Ranks: local; on logs that are equal on all ranks.
    """

    def __init__(self, key: str, mode: Mode, min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"mode is one of auto, min and max. Received: {mode!r}; auto is taken", stacklevel=4
            )
            mode = "auto"
        self.key = key
        self._min_delta = abs(min_delta)
        self._mode = mode

    def improved(self, value: Any, reference: Any, model: Any) -> bool:
        """Say whether a value is better than another one; than None any is.

        Raises:
            ValueError: if `mode` is ``"auto"`` and no metric of that name is known.
        """
        self._resolve(model)
        if reference is None:
            return True
        if self._mode == "max":
            return bool(value - self._min_delta > reference)
        return bool(value + self._min_delta < reference)

    def value(self, logs: Logs | None, model: Any) -> Any:
        """Return the monitored value, or None and a warning that lists the keys there are.

        Raises:
            ValueError: as `improved`. A key that no metric has would be missing for ever.
        """
        self._resolve(model)
        found = (logs or {}).get(self.key)
        if found is None:
            warnings.warn(
                f"the monitored {self.key!r} is not among the logs: {', '.join(logs or {})}", stacklevel=4
            )
        return found

    def direction(self, model: Any) -> Literal["min", "max"]:
        """Return whether lower or higher is better.

        Raises:
            ValueError: as `improved`.
        """
        self._resolve(model)
        return "max" if self._mode == "max" else "min"

    def _resolve(self, model: Any) -> None:
        """Find out what better means, at the first value: metrics are not known before."""
        if self._mode != "auto":
            return
        name = self.key.removeprefix("val_")
        # A model that is not distfit's may have none, and a library's model has what its own callbacks look for.
        metrics = [metric for metric in getattr(model, "metrics", ()) if hasattr(metric, "direction")]
        directions: dict[str, Mode] = {"loss": "min", **{metric.name: metric.direction for metric in metrics}}
        if name not in directions:
            raise ValueError(
                f"it is not known whether {self.key!r} is better when it rises or when it falls. Give mode='min' or"
                f" mode='max'. Known are: {', '.join(directions)}"
            )
        self._mode = directions[name]


class MonitorCallback(Callback):
    """Base of the callbacks that watch one value.

    Args:
        monitor: key of the logs.
        mode: ``"min"``, ``"max"`` or ``"auto"``.
        baseline: what has to be beaten, or None.
        min_delta: by how much a value has to be better.

    Attributes:
        monitor: the key, as text.
        best: the best value so far, or None.

    Ranks: all, or root where a subclass writes files; the logs are equal on all ranks, and so are the decisions.
    """

    reads_agreed_logs = True

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: Mode = "auto",
        baseline: float | None = None,
        min_delta: float = 0.0,
    ) -> None:
        self.monitor = monitor
        self._monitor = Monitor(monitor, mode, min_delta)
        self.best: Any = baseline

    def monitored(self, logs: Logs | None) -> Any:
        """Return the monitored value, or None and a warning."""
        return self._monitor.value(logs, self.model)

    def improved(self, value: Any, reference: Any) -> bool:
        """Say whether a value is better than another one."""
        return self._monitor.improved(value, reference, self.model)
