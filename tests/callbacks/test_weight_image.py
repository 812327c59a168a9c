"""How weights look, worked out by hand."""

import numpy as np
import pytest

from distfit.callbacks.weight_image import weight_image

nan, inf = float("nan"), float("inf")

CASES = {
    "a vector is a column": ([0.0, 1.0, 0.5], [[0], [255], [128]]),
    "a matrix": ([[0.0, 1.0, 2.0], [4.0, 2.0, 0.0]], [[0, 64, 128], [255, 128, 0]]),
    "a tall matrix lies on its side": ([[0.0, 4.0], [1.0, 2.0], [2.0, 0.0]], [[0, 64, 128], [255, 128, 0]]),
    "axes of length 1 do not count": ([[[0.0]], [[1.0]]], [[0], [255]]),
    "kernels side by side": (
        np.stack([np.zeros((2, 3)), np.ones((2, 3))], axis=-1).reshape(2, 3, 1, 2),
        [[0, 0, 0, 255, 255, 255]] * 2,
    ),
    "equal values": ([2.0, 2.0], [[0], [0]]),
    "negative ones": ([-1.0, 0.0, 1.0], [[0], [128], [255]]),
    "what is not finite": ([0.0, nan, 1.0, inf, -inf], [[0], [0], [255], [255], [0]]),
}


@pytest.mark.parametrize(("weight", "pixels"), CASES.values(), ids=CASES)
def test_pixels(weight: object, pixels: list[list[int]]) -> None:
    image = weight_image(np.asarray(weight, np.float32))
    assert image is not None
    assert image.dtype == np.uint8
    assert image.tolist() == pixels


@pytest.mark.parametrize("weight", [1.0, [[2.0]], np.ones((3, 3, 2, 4)), [nan, nan]], ids=str)
def test_what_has_no_image(weight: object) -> None:
    assert weight_image(np.asarray(weight)) is None
