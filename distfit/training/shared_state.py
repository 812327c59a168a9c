"""What every rank holds an equal copy of, and how root's copy comes to be everybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from distfit.callbacks.dispatch.decisions import Decisions
from distfit.comm import Communicator, Phase, key_of
from distfit.optimizers import Optimizer
from distfit.training.choose_update import choose_update
from distfit.training.compiled import Compiled
from distfit.training.update import Everywhere
from distfit.utils.heap import keep_freed_memory

if TYPE_CHECKING:
    from distfit.training.model import Model


class SharedState:
    """A model's weights and layer state, its optimizer's arrays and numbers, its seed and its count of steps.

    Attributes:
        decisions: lets stop flags, and root's learning rate, hold on all ranks.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._agreed_version: object = None
        self._placed: Compiled | None = None
        self.decisions = Decisions(model, self)

    @property
    def version(self) -> object:
        """Equal as long as no user writes a weight, restores the state of an optimizer of distfit's, or has another."""
        optimizer = self._model.optimizer
        restored = (id(optimizer), optimizer.restored) if isinstance(optimizer, Optimizer) else None
        return self._model.engine.version if self._model.built else 0, restored

    @property
    def stale(self) -> bool:
        """Whether a user wrote a weight since all ranks last had root's, or they never had."""
        return self.version != self._agreed_version

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the flat arrays of which each rank holds an equal copy, by name; all weights in one under ``""``."""
        model, optimizer = self._model, self._model.optimizer
        has_state = optimizer is not None and model.update.has_whole_state
        return {**model.engine.replicated, **(optimizer.state() if has_state else {})}

    @property
    def is_new(self) -> bool:
        """Whether the optimizer's arrays are those of any other rank that is as new."""
        return self._model.optimizer is None or self._model.optimizer.is_new

    def scalars(self) -> dict[str, float]:
        """Return the numbers of which each rank holds an equal copy."""
        progress, optimizer = self._model.progress, self._model.optimizer
        scalars = {} if optimizer is None else optimizer.scalars()
        return {"seed": progress.seed, "step": progress.step, **scalars}

    def check(self) -> None:
        """Raise if the optimizer's state is in the hands of another model's update, which has divided it.

        Raises:
            ValueError: on the ranks that have not all of it.

        Ranks: local, before an agreement: between that and a bulk transfer it would be too late.
        """
        optimizer = self._model.optimizer
        if self._model.update.has_whole_state and isinstance(optimizer, Optimizer) and optimizer.is_in_parts:
            raise ValueError(
                f"the state of this {optimizer.name} lies in parts on several machines, for another model or an earlier"
                " compile(shard_optimizer=True). Give each model, and each compile, an optimizer of its own"
            )

    def describe(self) -> str:
        """Return what is shared as text. Ranks that share agree on it first: buffers of other lengths must not meet.

        Raises:
            ValueError: as `check`.
        """
        self.check()
        return f"{self._model.engine.describe()}; {self._model.describe_compiled()}"

    def numbers(self) -> dict[str, float]:
        """Return the optimizer's numbers that change often: its count of updates, and what callbacks change most."""
        optimizer = self._model.optimizer
        return {} if optimizer is None else optimizer.scalars()

    def set_numbers(self, numbers: dict[str, float]) -> None:
        """Set what `numbers` returned.

        Ranks: local, on all ranks alike.
        """
        if numbers:
            self._model.optimizer.set_scalars(numbers)

    def settings(self) -> dict[str, Any]:
        """Return all else that an update depends on, such as a momentum or a schedule."""
        optimizer = self._model.optimizer
        return {} if optimizer is None else optimizer.settings()

    def set_settings(self, settings: dict[str, Any]) -> None:
        """Set what `settings` returned.

        Ranks: local, on all ranks alike.
        """
        if settings:
            self._model.optimizer.set_settings(settings)

    def share_if_stale(self) -> None:
        """Continue from root's copy after a user wrote a weight, or at the very first step.

        Ranks: every rank; a small message and the copy, nothing where no rank's copy is stale. Before the first step
            under an optimizer, the messages of `choose_update`.
        """
        if self.stale:
            name = f"sharing root's weights of {self.describe()}"
            used = np.array([float(not self.is_new)])
            agreed = self._model.comm.agreement.agree(Phase.COLLECTIVE, used, key=key_of(name), name=name)
            self.broadcast(self._model.comm, is_new=not agreed.sums[0])
        self.place()

    def place(self) -> None:
        """Put what is trained where it will be updated, before the first step under an optimizer.

        Ranks: every rank, all of which hold root's copy; the messages of `choose_update`, or none.
        """
        model = self._model
        if self._placed is not model.compiled:
            keep_freed_memory()
            model.update.collect_state(everywhere=True)
            self.check()
            model.update.release()
            update = choose_update(model)
            model.comm.reach("the placing of the weights")  # or some would go on without one that failed
            model.update, self._placed = update, model.compiled
        elif not model.update.is_current():
            # Two models train its layers, or have its optimizer: each rank has copies of its own from here on. Where
            # that is so on some ranks only, the others are elsewhere, and all raise.
            model.comm.reach("weights that another model has taken")
            model.update.collect_state(everywhere=True)
            model.update.release()
            model.update = Everywhere(model)

    def broadcast(self, comm: Communicator, *, is_new: bool = False) -> None:
        """Continue from root's copy.

        Args:
            comm: the ranks.
            is_new: whether the optimizer is new on all of them, so that its arrays are equal. They are not sent then,
                nor written: before ranks share memory each has its own, but nothing in them takes any.

        Ranks: every rank of `comm`, directly after an agreement; the weights, the optimizer's arrays, a few numbers.
        """
        model, progress, optimizer = self._model, self._model.progress, self._model.optimizer
        scalars = {} if optimizer is None else optimizer.scalars()
        numbers = np.array(
            [progress.seed, progress.step, progress.initial_epoch, *scalars.values()], np.float64
        )
        comm.transport.broadcast(numbers)
        for array in self._model.engine.replicated.values():
            comm.transport.broadcast(array)
        if not is_new:
            self._model.update.broadcast_state(comm)
        progress.seed, progress.step, progress.initial_epoch = map(int, numbers[:3])
        if optimizer is not None:
            optimizer.set_scalars(dict(zip(scalars, numbers[3:].tolist(), strict=True)))
        if comm is model.comm:
            self._agreed_version = self.version
            progress.torn = False
            model.update.unsettle()
