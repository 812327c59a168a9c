"""What a rank shows the others of its group, and what it says of them where they let it wait."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from distfit.comm.board import Board
from distfit.comm.heartbeat import Heartbeat
from distfit.comm.lookout import Findings, Lookout
from distfit.comm.patience import EXIT_STALLED, Patience
from distfit.comm.phase import describe
from distfit.comm.whereabouts import Whereabouts
from distfit.utils.activity import Activity

NAP_S = 0.5
"""From one look to the next."""

_MOST_LINES = 8
_NEVER_S = 1e9
_BEAT = 2  # looks between two packets to another machine


class Group(Protocol):
    """A transport of a group of ranks.

    Attributes:
        calls: how many collectives of the group this rank has begun.
    """

    calls: int


class Report(NamedTuple):
    """What is to be said, and whether the process ends with it."""

    text: str
    ends: bool


class GroupWatch:
    """One group of ranks, watched by one of them.

    Args:
        rank: of this one.
        hosts: of each rank, the machine.
        board: their rows.
        patience: how long they wait.
        heartbeat: the link to other machines, on the first rank of each if there are several.
    """

    def __init__(
        self,
        rank: int,
        hosts: Sequence[str],
        board: Board,
        patience: Patience,
        lookout: Lookout | None = None,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self._rank = rank
        self._names = [f"rank {rank} on {host}" for rank, host in enumerate(hosts)]
        self._board = board
        self._patience = patience
        self._lookout = lookout or Lookout(board, rank)
        self._heartbeat = heartbeat
        self._beats = 0
        self._debugged = 0
        self._said = False

    def tick(
        self, group: Group, activity: Activity, where: Whereabouts, stack: Callable[[], str]
    ) -> Report | None:
        """Show what this rank does, look at what the others do, and say what there is to say.

        Args:
            group: the ranks.
            activity: of this process.
            where: its main thread is.
            stack: returns the main thread's stack as text.

        Returns:
            Once, who keeps this rank waiting, or what this rank does while the others wait; at the end of all patience
            what the process ends with. None while all is well.

        Ranks: local; the watchdog's thread.
        """
        self.show(group, activity, where)
        warn_after, timeout = self._limits()
        found = self._lookout.look(silent_after=max(2, int(min(warn_after, timeout) / 2 / NAP_S)))
        waits = activity.waits_for is group
        keeps_waiting = activity.waits_for is None and bool(found.waiting)
        waited = (found.waited if waits else self._lookout.idle[self._rank]) * NAP_S
        if waits and waited >= timeout:
            end = (
                f"distfit: {self._names[self._rank]} gives up after {waited:.0f} s (DISTFIT_TIMEOUT), and ends the"
                f" job with status {EXIT_STALLED}\n"
            )
            return Report(self._of_waiting(found, waited) + end, ends=True)
        if not (waits or keeps_waiting) or waited < warn_after:
            self._said = False
            return None
        if self._said:
            return None
        self._said = True
        if waits:
            return Report(self._of_waiting(found, waited), ends=False)
        return Report(self._of_keeping(found, waited, stack()), ends=False)

    def show(self, group: Group, activity: Activity, where: Whereabouts) -> None:
        """Write this rank's row, and let other machines know.

        Ranks: local.
        """
        self._beats += 1
        self._debugged += where.in_debugger  # whoever is looked at is not late
        self._board.write(
            self._rank,
            beat=self._beats,
            calls=group.calls,
            finished=activity.finished + self._debugged,
            step=activity.step,
            text=what(activity, group) + (f", at {where.site}" if where.site else ""),
        )
        if self._heartbeat is not None and self._beats % _BEAT == 0:
            self._heartbeat.send()

    def _limits(self) -> tuple[float, float]:
        """Return the seconds until the warning and until the end. A warning always comes well before the end."""
        timeout = self._patience.timeout or _NEVER_S
        return min(self._patience.warn_after or _NEVER_S, timeout / 2), timeout

    def _of_waiting(self, found: Findings, waited: float) -> str:
        own = self._rank
        late = [rank for rank in found.missing if rank not in found.silent]
        lines = [f"    {self._described(rank)}; no further for {self._seconds(rank)} s" for rank in late]
        lines += [
            f"    {self._names[rank]} gives no sign of life for {self._lookout.quiet[rank] * NAP_S:.0f} s: stopped,"
            f" dead or cut off. When last heard of, it {self._doing(rank)}"
            for rank in found.silent
            if rank != own
        ]
        if len(lines) > _MOST_LINES:
            lines[_MOST_LINES:] = [f"    and {len(lines) - _MOST_LINES} more"]
        unknown = self._lookout.unknown
        if unknown:
            lines.append(f"    nothing is known of {_some([self._names[rank] for rank in unknown])}")
        if not lines:
            lines = ["    all ranks have come, so that it is MPI, or the network, that does not go on"]
        return (
            f"distfit: {self._names[own]} has waited for {waited:.0f} s: it {self._doing(own)}\n"
            + "".join(f"{line}\n" for line in lines)
        )

    def _of_keeping(self, found: Findings, waited: float, stack: str) -> str:
        return (
            f"distfit: {_some([self._names[rank] for rank in found.waiting])} waited for {waited:.0f} s for"
            f" {self._described(self._rank)}\n{stack}"
        )

    def _described(self, rank: int) -> str:
        return f"{self._names[rank]}, which {self._doing(rank)}"

    def _doing(self, rank: int) -> str:
        step = int(self._board.rows["step"][rank])
        return self._board.text(rank) + (f" (step {step})" if step else "")

    def _seconds(self, rank: int) -> str:
        return f"{self._lookout.idle[rank] * NAP_S:.0f}"


def what(activity: Activity, group: Group) -> str:
    """Say in words what the main thread of a rank does: "ends a step of training", "reads a batch"."""
    if activity.waits_for is None:
        return activity.doing or "is in code of its own"
    about = "starts to work with the others" if activity.about is None else describe(*activity.about)
    return about if activity.waits_for is group else f"{about}, with other ranks"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_LINES
    return ", ".join(names[:_MOST_LINES]) + (f" and {more} more" if more > 0 else "")
