"""Which gradients of a module are final, while torch's backward pass runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from distfit.engines.torch_staged import Staged


class FinalParameters:
    """Tells from where on the gradients in the buffer are final, as backward gives one after the other.

    It gives each parameter one gradient, whatever uses the parameter has, and begins with the last of them, as a rule:
    one that comes late, or never, holds back those in front of it, but nothing goes wrong.

    Args:
        parameters: of the module, in the buffer's order.
        gradients: the buffer.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], gradients: Staged) -> None:
        self._parameters = parameters
        self._numbers = {parameter: number for number, parameter in enumerate(parameters)}
        self._gradients = gradients
        self._tell: Callable[[int], None] | None = None

    def begin(self, tell: Callable[[int], None] | None) -> None:
        """Begin a backward pass.

        Args:
            tell: is told the first element of those that are final; None where nobody asks.
        """
        self._tell = tell
        self._given: set[torch.Tensor] = set()
        self._told = len(self._parameters)

    def check(self, parameter: torch.Tensor) -> None:
        """Raise if a gradient may not be written any more.

        Raises:
            RuntimeError: if backward gives it again.
        """
        if self._tell is not None and self._numbers[parameter] >= self._told:
            raise RuntimeError(
                "backward gives a parameter's gradient a second time, when the first is under way to other ranks: call"
                " compile(overlap=False), or torch.utils.checkpoint with use_reentrant=False"
            )

    def given(self, parameter: torch.Tensor) -> None:
        """Be told that a gradient is written."""
        if self._tell is None:
            return
        self._given.add(parameter)
        before = self._told
        while self._told > 0:
            last = self._parameters[self._told - 1]
            if last.requires_grad and last not in self._given:
                break
            if not last.requires_grad:
                self._gradients.views[self._told - 1].zero_()
            self._told -= 1
        if self._told < before:
            self._tell(self._gradients.arena.starts[self._told])
