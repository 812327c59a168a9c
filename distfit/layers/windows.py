"""Windows over images: where they lie, and what convolution and pooling take from and give back to them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from distfit.layers.layer import Layer
from distfit.layers.shapes import image_shape, wrong_shape

Pair = tuple[int, int]


def pair(value: int | tuple[int, int], name: str) -> Pair:
    """Return two positive integers from one or two.

    Raises:
        ValueError: for anything else.
    """
    values = (value, value) if isinstance(value, int) else tuple(value)
    if len(values) != 2 or not all(isinstance(v, int) and v > 0 for v in values):
        raise ValueError(f"{name} is one or two positive integers. Received: {name}={value}")
    return values


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of one size at equal distances.

    Attributes:
        size: height and width of a window, in pixels.
        strides: from one window to the next, downwards and to the right.
        padding: ``"valid"`` for windows inside the image; ``"same"`` for one window each `strides` pixels:
            what lies outside is filled (one pixel more below and to the right where sides cannot be equal).
    """

    size: Pair
    strides: Pair
    padding: str

    def __post_init__(self) -> None:
        if self.padding not in {"valid", "same"}:
            raise ValueError(f"padding is 'valid' or 'same'. Received: padding={self.padding!r}")

    def output_size(self, layer: Layer, input_shape: Any) -> Pair:
        """Return how many windows there are, downwards and to the right.

        Raises:
            ValueError: if rows are no images, or smaller than a window.
        """
        image = image_shape(layer, input_shape)[:2]
        room = tuple(
            n + sum(margin) - size
            for n, margin, size in zip(image, self._margins(image), self.size, strict=True)
        )
        if min(room) < 0:
            raise wrong_shape(
                layer, f"(at least {self.size[0]}, at least {self.size[1]}, channels)", tuple(input_shape)
            )
        return room[0] // self.strides[0] + 1, room[1] // self.strides[1] + 1

    def pad(self, images: np.ndarray, fill: float) -> np.ndarray:
        """Return the images with what `padding` adds around them.

        Args:
            images: ``(rows, height, width, channels)``.
            fill: the value of what is added.
        """
        (top, bottom), (left, right) = self._margins(images.shape[1:3])
        if not top + bottom + left + right:
            return images
        rows, height, width, channels = images.shape
        padded = np.full((rows, height + top + bottom, width + left + right, channels), fill, images.dtype)
        padded[:, top : top + height, left : left + width] = images
        return padded

    def crop(self, padded: np.ndarray, height: int, width: int) -> np.ndarray:
        """Return the part of padded images that `pad` got."""
        (top, _), (left, _) = self._margins((height, width))
        return padded[:, top : top + height, left : left + width]

    def places(self, padded: np.ndarray) -> Iterator[np.ndarray]:
        """Yield, for each place in a window, that place's pixel of all windows.

        Args:
            padded: ``(rows, height, width, channels)``.

        Yields:
            Views ``(rows, windows downwards, windows to the right, channels)``, row by row of a window.
        """
        (down, right), (height, width) = self.strides, self.size
        last_top, last_left = padded.shape[1] - height, padded.shape[2] - width
        for i in range(height):
            for j in range(width):
                yield padded[:, i : i + last_top + 1 : down, j : j + last_left + 1 : right]

    def columns(self, padded: np.ndarray) -> np.ndarray:
        """Return a line for each window, ``(windows, places * channels)`` (Chellapilla et al., 2006)."""
        views = list(self.places(padded))
        columns = np.empty((*views[0].shape[:3], len(views), padded.shape[3]), padded.dtype)
        for place, view in enumerate(views):
            columns[:, :, :, place] = view
        return columns.reshape(-1, len(views) * padded.shape[3])

    def add_columns(self, columns: np.ndarray, padded: np.ndarray) -> None:
        """Add the lines of `columns` to the pixels that they are of."""
        views = list(self.places(padded))
        columns = columns.reshape(*views[0].shape[:3], len(views), padded.shape[3])
        for place, view in enumerate(views):
            np.add(view, columns[:, :, :, place], out=view)

    def _margins(self, image: tuple[int, ...]) -> list[Pair]:
        if self.padding == "valid":
            return [(0, 0), (0, 0)]
        added = [
            max((-(-n // stride) - 1) * stride + size - n, 0)
            for n, stride, size in zip(image, self.strides, self.size, strict=True)
        ]
        return [(n // 2, n - n // 2) for n in added]
