"""Targets that are less than certain."""

import numpy as np


def check_label_smoothing(label_smoothing: float) -> float:
    """Return the share of the targets' mass that is spread over all classes.

    Raises:
        ValueError: if it does not lie in [0, 1].
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(
            "label_smoothing is the share of a target that is spread over all classes, from 0 to 1."
            f" Received: {label_smoothing!r}"
        )
    return label_smoothing


def smooth(targets: np.ndarray, label_smoothing: float, num_classes: int) -> np.ndarray:
    """Return ``targets * (1 - s) + s / num_classes`` (Szegedy et al., 2016)."""
    if label_smoothing == 0:
        return targets
    return targets * (1 - label_smoothing) + label_smoothing / num_classes
