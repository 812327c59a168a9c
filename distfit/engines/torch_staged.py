"""A flat buffer on the host that a module sees on its own device."""

from __future__ import annotations

import numpy as np
import torch

from distfit.engines.arena import Arena


class Staged:
    """A flat buffer on the host, and what the module sees of it: the same memory, or a copy on the module's device.

    Each side is brought up to date when it is asked for. On the CPU there is nothing to bring.

    Args:
        shapes: of the parts, in order.
        dtype: of all of them.
        device: where the module computes.
        trained: see `Arena`.
        is_shared: whether both sides are one memory. Defaults to whether the device is the CPU.

    Attributes:
        views: the parts on the device, in their shapes.
        arena: the parts on the host.
        is_shared: as given.
    """

    def __init__(
        self,
        shapes: list[tuple[int, ...]],
        dtype: torch.dtype,
        device: torch.device,
        trained: int | None = None,
        *,
        is_shared: bool | None = None,
    ) -> None:
        self.arena = Arena(shapes, str(dtype).removeprefix("torch."), trained)
        self.is_shared = device.type == "cpu" if is_shared is None else is_shared
        self._device = device
        self._host_is_newer = self._device_is_newer = False
        self.move(self.arena.buffer)

    def move(self, buffer: np.ndarray) -> None:
        """Lie in another buffer on the host from here on, which holds the same already; with new `views`."""
        self.arena.move(buffer)
        self._host = torch.from_numpy(buffer)
        self._flat = self._host if self.is_shared else self._host.to(self._device, copy=True)
        self.views = [
            self._flat[start : start + view.size].view(view.shape)
            for start, view in zip(self.arena.starts, self.arena.views, strict=True)
        ]

    def host(self) -> np.ndarray:
        """Return the buffer on the host, to be read or written."""
        if not self.is_shared:
            if self._device_is_newer:
                self._host.copy_(self._flat)
            self._device_is_newer, self._host_is_newer = False, True
        return self.arena.buffer

    def device(self) -> torch.Tensor:
        """Return the buffer on the device, to be read or written."""
        if not self.is_shared:
            if self._host_is_newer:
                self._flat.copy_(self._host)
            self._host_is_newer, self._device_is_newer = False, True
        return self._flat
