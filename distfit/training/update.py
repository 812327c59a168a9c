"""How the gradients of all ranks become new weights on all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, TypeGuard

import numpy as np

from distfit.comm import Communicator, Phase, key_of
from distfit.comm.exchange import Exact, Exchange
from distfit.engines import all_finite
from distfit.optimizers import Optimizer

if TYPE_CHECKING:
    from distfit.training.model import Model

_PIECE = 65_536  # elements


def agree(comm: Communicator, what: str, number: float, *, may_interrupt: bool = True) -> float:
    """Agree to be at a point of an update, and return the sum of a number over all ranks.

    Ranks: every rank; one small message.
    """
    agreed = comm.agreement.agree(
        Phase.POINT, np.array([number]), key=key_of(what), name=what, may_interrupt=may_interrupt
    )
    return float(agreed.sums[0])


def is_plain(optimizer: object) -> TypeGuard[Optimizer]:
    """Say whether this is one of distfit's whose `apply` is its own, so that an update may be made in parts."""
    return isinstance(optimizer, Optimizer) and type(optimizer).apply is Optimizer.apply


def add_up(own: np.ndarray, peers: list[np.ndarray], place: slice) -> None:
    """Add peers' gradients at a place to this rank's, piece by piece, while these are in the cache.

    Ranks: local.
    """
    for start in range(place.start, place.stop, _PIECE):
        piece = slice(start, min(start + _PIECE, place.stop))
        add_to(own[piece], own[piece], peers, piece)


def add_to(out: np.ndarray, own: np.ndarray, peers: list[np.ndarray], place: slice) -> np.ndarray:
    """Return the sum of this rank's gradients and those of peers at a place, in `out` if there are any peers.

    Ranks: local.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # as in a reduction of MPI's
        for peer in peers:
            own = np.add(own, peer[place], out=out)
    return own


class Update(ABC):
    """Changes the weights by what all ranks have computed.

    Args:
        model: what is trained.

    Ranks: every rank calls each method, in the order in which they stand here, and all are of one class.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def is_current(self) -> bool:
        """Say whether weights and optimizer state lie where they did; layers, or an optimizer, may have two models."""
        return True

    @abstractmethod
    def unsettle(self) -> None:
        """Be told that other code than an update's may have written weights or optimizer state since the last one.

        Ranks: local.
        """

    @property
    def has_whole_state(self) -> bool:
        """Whether each machine holds all of the optimizer's state."""
        return True

    def collect_state(self, *, everywhere: bool = False) -> None:  # noqa: B027 - most machines hold all of it
        """Bring the optimizer's state together where root can read it, or where all can.

        Ranks: every rank.
        """

    def broadcast_state(self, comm: Communicator) -> None:
        """Continue from root's state of the optimizer.

        Ranks: every rank of `comm`, directly after an agreement; the state.
        """
        optimizer = self._model.optimizer
        for array in ({} if optimizer is None else optimizer.state()).values():
            comm.transport.broadcast(array)

    def release(self) -> None:  # noqa: B027 - most updates take nothing
        """Let the model compute gradients as another update needs them.

        Ranks: local.
        """

    overlaps: ClassVar[bool] = False
    """Whether sums begin while backward still runs: whether it is told of `begin_sums` and `begin_sum_from`."""

    def __enter__(self) -> Update:
        """Begin a step: behind the block no sum is under way, however it ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.abandon(error)

    def begin_sums(self) -> None:  # noqa: B027 - most updates begin no sums in between
        """Be told that all ranks are about to compute gradients, or have no rows, and that none goes back from there.

        Ranks: local, behind an agreement.
        """

    def begin_sum_from(self, start: int) -> None:  # noqa: B027 - most updates begin no sums in between
        """Begin to sum what is not under way yet of the gradients from `start` on, none of which change any more.

        Ranks: local.
        """

    def bind(self) -> None:  # noqa: B027 - most updates begin no sums in between
        """Be told that all ranks have agreed on a step behind which they update, and that none goes back from there.

        Ranks: local, directly behind the agreement on the step.
        """

    def abandon(self, error: BaseException) -> None:  # noqa: B027 - most updates begin no sums in between
        """Let the other ranks have what they wait for, though this rank's step has failed, or another's.

        Ranks: all that are bound to begin sums, wherever the step ended. None is left waiting.
        """

    def complete(self) -> None:  # noqa: B027 - most updates begin no sums in between
        """Wait for all sums of a step that are under way, if any are, before anything else can happen.

        Ranks: every rank, behind the agreement on the step.
        """

    def finish(self) -> None:  # noqa: B027 - most updates begin no sums in between
        """Wait for whatever is under way, and be done with the sums of a step.

        Ranks: every rank, behind a step that has ended well.
        """

    @abstractmethod
    def reduce(self) -> None:
        """Sum the gradients over all ranks.

        Ranks: every rank, directly after an agreement behind which no rank writes gradients.
        """

    @abstractmethod
    def is_finite(self) -> bool:
        """Say whether the sums are, equally on all ranks."""

    @abstractmethod
    def apply(self, weight: float) -> None:
        """Change the weights by the sums, divided by `weight`, the number of values of the loss."""

    def make_room(self) -> None:  # noqa: B027 - most updates have all that they need from the start
        """Have memory for what turned out to be needed, before the next step.

        Ranks: every rank, behind an update, which is whole.
        """


class Everywhere(Update):
    """Each rank holds all weights, gets all sums, and makes the whole update. The ranks stay equal to the last bit.

    Args:
        model: what is trained.
        exchange: sums the gradients; None for the transport of the model's ranks, which need not be known yet.

    Ranks: one reduction, of the gradients.
    """

    def __init__(self, model: Model, exchange: Exchange | None = None) -> None:
        super().__init__(model)
        self._exchange = exchange

    def unsettle(self) -> None:
        """Each rank's own arrays are what it updates, whoever wrote to them."""

    def reduce(self) -> None:
        exchange = self._exchange or Exact(self._model.comm.transport)
        exchange.all_reduce([self._model.engine.gradients])

    def is_finite(self) -> bool:
        return all_finite(self._model.engine.gradients)

    def apply(self, weight: float) -> None:
        self._model.engine.update(weight)


class Alone(Everywhere):
    """A rank without others, whose gradients are the sums wherever they lie.

    Ranks: this one.
    """

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        model.engine.gradients_are_sent = False

    def reduce(self) -> None:
        """There is nothing to add."""
