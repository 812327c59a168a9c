"""A block that every rank leaves in order, or from which every rank raises."""

from contextlib import AbstractContextManager
from types import TracebackType

from distfit.comm import failure, signals
from distfit.comm.agreement import Agreement
from distfit.comm.phase import Phase, key_of


class Operation:
    """What all ranks do together from its first line to its last: fit, evaluate, a step, a hook.

    In the block any code may raise, on any rank, at any place: the error leaves the block here, this rank joins
    whatever agreement the others come to next, with its failure, and they raise too. So no code within needs to know
    of the others, and nothing can wait for a rank that failed. SIGINT only sets a flag in it, which the next agreement
    turns into such an error.

    Args:
        agreement: of the ranks.
        name: where all ranks enter and leave the block together, by an agreement at each end; None for a block without
            messages of its own, within whose code the ranks agree.
    """

    def __init__(self, agreement: Agreement, name: str | None = None) -> None:
        self._agreement = agreement
        self._name = name
        self._signals: AbstractContextManager[None] = signals.deferred()

    def __enter__(self) -> None:
        self._signals.__enter__()
        self._agreement.depth += 1
        try:
            self._agree(Phase.BEGIN)
        except BaseException as error:
            self._leave(error)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._agree(Phase.END)
            except BaseException as late:
                self._leave(late)
                raise
        self._leave(error)

    def _agree(self, at: Phase) -> None:
        if self._name is not None:
            self._agreement.agree(at, key=key_of(self._name), name=self._name)

    def _leave(self, error: BaseException | None) -> None:
        try:
            if error is not None:
                self._agreement.tell(error)
            self._agreement.depth -= 1
            if error is not None and self._agreement.depth == 0:
                failure.forget(error, self._agreement)  # raised once more, it is news
        finally:
            self._signals.__exit__(None, None, None)
