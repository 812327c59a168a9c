"""How one attempt at a job ended, and why."""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from distfit.comm.patience import EXIT_STALLED
from distfit.launchers.records import Failure
from distfit.launchers.runner import Death

# From outside: somebody, or a system that is short of memory. That it happens twice says nothing of the program.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_RAISED = re.compile(
    r"^Traceback \(most recent call last\):$(?:\n[ \t].*|\n)*?\n(?P<error>[\w.]+(?:: .*)?)$", re.M
)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an attempt failed.

    Attributes:
        what: in words, as in "rank 1 raised ValueError: bad".
        error: what is compared with that of another attempt; None for what comes from outside, which never is the same.
        step: of the training at which it was; None where that is not known.
        exact: whether the step is; the step of a rank that was killed is half a second old.
    """

    what: str
    error: str | None = None
    step: int | None = None
    exact: bool = False

    def is_same(self, other: "Cause") -> bool:
        """Say whether both are the same error, at the same step. What is not known is not the same.

        Ranks: local.

        Example:
            >>> one = Cause("rank 1 raised ValueError: bad", "ValueError: bad", step=12, exact=True)
            >>> one.is_same(one), one.is_same(Cause("rank 1 was killed by signal 9, SIGKILL"))
            (True, False)
        """
        known = None not in (self.error, self.step) and self.exact and other.exact
        return known and (self.error, self.step) == (other.error, other.step)

    def __str__(self) -> str:
        if self.step is None:
            return self.what
        return f"{self.what} ({'' if self.exact else 'about '}step {self.step})"


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended.

    Attributes:
        seconds: that it took.
        status: of the job: 0 only if it succeeded.
        cause: why it failed; None if it did not, or ended by itself with a status of its own.
        asked_by: the signal to the supervisor that asked it to end; None without one.
    """

    seconds: float
    status: int
    cause: Cause | None = None
    asked_by: signal.Signals | None = None

    def __str__(self) -> str:
        after = f"after {self.seconds:.0f} s" if self.seconds >= 10 else f"after {self.seconds:.1f} s"
        asked = f", asked to by {self.asked_by.name}" if self.asked_by else ""
        if self.cause is not None:
            return f"failed {after}{asked}: {self.cause}"
        return f"ended {after}{asked}, " + ("in order" if self.status == 0 else f"with status {self.status}")


def cause_of(
    status: int,
    *,
    failure: Failure | None,
    death: Death | None,
    joined: bool,
    completed: bool,
    output: str,
    gone: Sequence[str],
    step_of_dead: int | None,
) -> Cause | None:
    """Return why an attempt failed; None if it ended in order.

    Args:
        status: of mpiexec.
        failure: what a rank has noted of its end.
        death: what mpiexec says of it.
        joined: whether ranks worked together with distfit.
        completed: whether root saw all of them leave in order. Without it a status of 0 is no success: launchers were
            seen to give that after a rank had left without a word, and after a host was lost. A program that never
            worked with several ranks has nothing to leave, and its status alone counts.
        output: the end of what the ranks wrote.
        gone: hosts that no longer answer.
        step_of_dead: about which the rank was that died.

    Ranks: local.
    """
    if completed or (status == 0 and not joined):
        return None  # a status that is not 0 is then the program's own, on all ranks
    if failure is not None and not failure.follows:
        return _raised(failure)
    if gone:
        return Cause(f"{', '.join(gone)} can no longer be reached", step=step_of_dead)
    if death is not None and death.signal is not None:
        return _killed(death.rank, death.signal, step_of_dead)
    if failure is not None:
        return _raised(failure)
    if status == 0:
        return Cause(
            "mpiexec tells success, but the ranks did not end together: one of them, or its machine, was gone before",
            "no completion",
            step_of_dead,
        )
    if status == EXIT_STALLED:
        return Cause(f"ranks waited in vain for another one (status {status})", "stalled", step_of_dead)
    if raised := _RAISED.findall(output):
        return Cause(f"a rank raised {raised[-1]}", raised[-1], step_of_dead)
    number = status - 128 if status > 128 else status  # Open MPI's and MPICH's way to tell it
    if number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
        return _killed(None, number, step_of_dead)
    how = "without leaving MPI" if death is not None and death.status is None else f"with status {status}"
    return Cause(f"{_who(death.rank if death else None)} ended {how}", f"status {status}", step_of_dead)


def _raised(failure: Failure) -> Cause:
    first = failure.error.partition("\n")[0].rstrip(": ")  # not all errors have a message
    return Cause(f"rank {failure.rank} raised {first}", failure.error, failure.step, exact=True)


def _killed(rank: int | None, number: int, step: int | None) -> Cause:
    names = {one.value: one.name for one in signal.Signals}
    error = None if number in _FROM_OUTSIDE else f"signal {number}"
    return Cause(f"{_who(rank)} was killed by signal {number}, {names.get(number, 'unknown')}", error, step)


def _who(rank: int | None) -> str:
    return "a rank" if rank is None else f"rank {rank}"
