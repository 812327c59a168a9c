"""What all ranks do together from its first line to its last: fit, evaluate, predict, save, load."""

from contextlib import AbstractContextManager
from types import TracebackType

from distfit.comm import failure, signals
from distfit.comm.agreement import Agreement
from distfit.comm.phase import Phase, key_of


class Operation:
    """A block that every rank enters and leaves together, or from which every rank raises.

    Entering and leaving are agreements. In between any code may raise, on any rank, at any place: the error leaves
    the block here, this rank joins whatever agreement the others come to next, with its failure, and they raise too.
    So no code within needs to know of the others, and nothing can wait for a rank that failed.
    """

    def __init__(self, agreement: Agreement, name: str) -> None:
        self._agreement = agreement
        self._name = name
        self._key = key_of(name)
        self._signals: AbstractContextManager[None] = signals.deferred()

    def __enter__(self) -> None:
        self._signals.__enter__()
        try:
            self._agreement.agree(Phase.BEGIN, key=self._key, name=self._name)
        except BaseException as error:
            self._leave(error)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._agreement.agree(Phase.END, key=self._key, name=self._name)
            except BaseException as late:
                self._leave(late)
                raise
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        if error is not None and not failure.is_agreed(error, self._agreement):
            self._agreement.fail(error)
        self._signals.__exit__(None, None, None)


class Guard:
    """A block whose failure on one rank reaches the others at their next agreement; no message where all goes well."""

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not failure.is_agreed(error, self._agreement):
            self._agreement.fail(error)
