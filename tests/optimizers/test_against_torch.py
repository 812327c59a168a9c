"""Ten steps of each optimizer give PyTorch's weights."""

import json
from pathlib import Path

import numpy as np
import pytest

from distfit import optimizers

REFERENCE = json.loads((Path(__file__).parent / "reference" / "torch.json").read_text())


@pytest.mark.parametrize("case", REFERENCE["cases"].values(), ids=REFERENCE["cases"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-6)])
def test_same_weights(case, dtype, tolerance):
    rows, segments, stop = 32, [], 0
    for name, size in REFERENCE["sizes"].items():
        segments.append(optimizers.Segment(name, stop, stop + size))
        stop += size
    optimizer = getattr(optimizers, case["class"])(**case["arguments"])
    optimizer.build(stop, dtype, segments)
    weights = np.array(REFERENCE["start"], dtype)
    for gradients, expected in zip(REFERENCE["gradients"], case["weights"], strict=True):
        optimizer.apply(weights, (rows * np.array(gradients)).astype(dtype), rows)
        np.testing.assert_allclose(weights, expected, rtol=tolerance, atol=tolerance)
    assert optimizer.iterations == 10
