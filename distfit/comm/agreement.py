"""The one small message at which all ranks learn whether one failed, and what was decided.

Every collective of distfit is one of two kinds: this message, or a bulk transfer that follows it directly. The message
has one fixed length whatever it is about, so that any two of them match: a rank that failed joins the next one, not
knowing what the others do, and all raise. Between a message that agreed and the bulk transfer that it announced no
code runs that can raise. Nothing else is needed for no rank ever to wait for one that does not come.
"""

import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from distfit.comm import failure, phase, signals, strict
from distfit.comm.call_site import call_site
from distfit.comm.fingerprint import all_equal
from distfit.comm.packing import pack, unpack
from distfit.comm.phase import Phase
from distfit.comm.transport import Transport
from distfit.errors import RankLeft, RanksDiverged
from distfit.utils.activity import now

# The header: each number is summed over all ranks, those marked * over the active ones alone. A number and its square
# tell whether it was equal on all of them; see `all_equal`.
FAILED = 0  # ranks that raised
ACTIVE = 1  # ranks that know what the message is about; one without rows does not
PHASE, PHASE_SQUARED = 2, 3  # * where in the program
KEY, KEY_SQUARED = 4, 5  # * which layer, operation or hook; compared in the same way
LENGTH, LENGTH_SQUARED = 6, 7  # * of the payload
STOP = 8  # ranks that want training to end
HAS_NEXT = 9  # ranks that have a next batch
WORD = 10  # root's, on something that it alone decides
IDLE_KEY = 11  # of the ranks without rows: the kind of step that they are in
INTERRUPTED = 12  # ranks that a signal asked to save and stop
HEADER = 13

RIDERS = 20
"""How many more numbers every rank may send along, active or not: what callbacks decided."""

MESSAGE_LENGTH = 1088
CAPACITY = MESSAGE_LENGTH - HEADER - RIDERS
"""The longest payload, in numbers, that rides in the small message. A longer one takes a second call."""


@dataclass(slots=True)
class Agreed:
    """What all ranks know after an agreement; equal on each of them.

    Attributes:
        phase: what it was about. None if no rank was active.
        key: which layer, operation or hook.
        sums: the payload, summed over the ranks; valid until the next agreement.
        stop: True if any rank wants training to end.
        has_next: how many ranks have a next batch.
        word: root's, on something that it alone decides.
        interrupted: True if a signal asked any rank to save and stop.
        riders: the sums of what ranks sent along; valid until the next agreement.
    """

    phase: Phase | None
    key: int
    sums: np.ndarray
    stop: bool
    has_next: int
    word: int
    interrupted: bool
    riders: np.ndarray


_PACKED = struct.Struct(f"{HEADER}d")
_NOTHING = np.empty(0)
_PHASES = {one.value: one for one in Phase}


class Agreement:
    """The small messages of one group of ranks.

    Args:
        transport: moves them.

    Attributes:
        messages: how many this rank has joined so far.
        depth: how many operations of the group this rank is in, one inside of the other.
        is_strict: whether the lines of the user's program are compared, too; see `distfit.comm.strict`.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._message = np.zeros(MESSAGE_LENGTH)
        self._riders = self._message[HEADER : HEADER + RIDERS]
        self._payload = self._message[HEADER + RIDERS :]
        self._left: str | None = None
        self._used = 0
        self.messages = 0
        self.depth = 0
        self.is_strict = strict.is_wanted()

    @property
    def ended(self) -> bool:
        """True once a rank has left: nobody answers any more."""
        return self._left is not None

    def agree(
        self,
        at: Phase | None,
        payload: np.ndarray = _NOTHING,
        *,
        key: int = 0,
        name: str = "",
        stop: bool = False,
        has_next: bool = False,
        word: int = 0,
        riders: Sequence[float] = (),
        may_interrupt: bool = True,
    ) -> Agreed:
        """Join the others in a message, and raise if one of them failed or is somewhere else.

        Args:
            at: what this rank wants to agree on; None on a rank without rows, which takes what the others bring: the
                sums of their layers, and the end of their step.
            payload: float64, one-dimensional, of equal length on all active ranks: to be summed.
            key: which layer, operation or hook; has to be equal on all active ranks. Of a rank without rows, that of
                the step that it is in.
            name: of the same, for errors.
            stop: this rank wants training to end.
            has_next: this rank has a next batch.
            word: on something that root alone decides, such as what its callbacks changed, or that it is to save. That
                of others is not sent.
            riders: up to `RIDERS` numbers to be summed over all ranks, with or without rows.
            may_interrupt: whether a SIGINT to this rank counts here, and not in the next message.

        Raises:
            RemoteError: and the class of what was raised, if another rank failed.
            RanksDiverged: on all ranks, if one is in another phase.
            RankLeft: if one left the program.
            KeyboardInterrupt: after a SIGINT to this rank.

        Ranks: every rank; one all-reduce of 8 kB, and one of the payload where it is longer than `CAPACITY`.
        """
        if may_interrupt and signals.take_interrupt():
            raise KeyboardInterrupt  # an error like any other: the next message tells the others
        if self._left:
            raise RankLeft(self._left)
        now.about = at, key, name
        if self.is_strict:
            key = strict.key_here(at, key)
        header = self._exchange(at, payload, key, stop, has_next, word, riders)
        if header[FAILED]:
            self._raise_failures()
        active = header[ACTIVE]
        if active == 0:
            return self._agreed(None, 0, _NOTHING, header)
        if not (
            all_equal((active, header[PHASE], header[PHASE_SQUARED]))
            and all_equal((active, header[KEY], header[KEY_SQUARED]))
            and all_equal((active, header[LENGTH], header[LENGTH_SQUARED]))
            and self._suits_idle_ranks(header)
        ):
            self._raise_divergence(at, key, name)
        length = int(header[LENGTH] / active)
        if length <= CAPACITY:
            sums = self._payload[:length]
        else:
            # Announced by the header, on all ranks, and nothing in between can raise.
            sums = payload.copy() if payload.size else np.zeros(length)
            self._transport.all_reduce(sums)
        return self._agreed(_PHASES[int(header[PHASE] / active)], int(header[KEY] / active), sums, header)

    def _agreed(self, at: Phase | None, key: int, sums: np.ndarray, header: list[float]) -> Agreed:
        return Agreed(
            at,
            key,
            sums,
            header[STOP] > 0,
            int(header[HAS_NEXT]),
            int(header[WORD]),
            header[INTERRUPTED] > 0,
            self._riders,
        )

    def tell(self, error: BaseException) -> None:
        """Let the other ranks know of an error of this one, unless all know of it.

        Ranks: those that failed; the others are in `agree`, wherever that is. Local where the error was agreed.
        """
        if not failure.is_agreed(error, self):
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Join the next message with an error of this rank, which is then to be raised on.

        Ranks: those that failed; the others are in `agree`, wherever that is.
        """
        own = pack(failure.report(error, self._transport.rank, self._transport.host))
        if isinstance(error, SystemExit) and error.code and self._transport.size > 1:
            # Python ends without a word, on all ranks: one of them has to say whose wish it was.
            sys.stderr.write(
                f"distfit: rank {self._transport.rank} on {self._transport.host} calls sys.exit({error.code!r}), which"
                " ends all ranks\n"
            )
            sys.stderr.flush()
        if not self._left:
            now.about = Phase.FAILED, 0, ""
            self._exchange(None, _NOTHING, 0, False, False, 0, (), failed=True)
            self._transport.all_gather_bytes(own)
        failure.mark_agreed(error, self)

    def _exchange(
        self,
        at: Phase | None,
        payload: np.ndarray,
        key: int,
        stop: bool,
        has_next: bool,
        word: int,
        riders: Sequence[float],
        *,
        failed: bool = False,
    ) -> list[float]:
        length = payload.size
        active = at is not None
        number = at or 0
        own_key, idle_key, sent = (key, 0, length) if active else (0, key, 0)
        # Packed, since NumPy takes ten times as long to take in numbers one by one.
        _PACKED.pack_into(
            self._message.data, 0,
            failed, active, number, number * number, own_key, own_key * own_key, sent, sent * sent,
            stop, has_next, word if self._transport.rank == 0 else 0, idle_key, signals.stop_requested(),
        )  # fmt: skip
        self._riders[:] = 0
        self._riders[: len(riders)] = riders
        riding = length if length <= CAPACITY else 0
        self._payload[:riding] = payload[:riding]
        self._payload[riding : self._used] = 0  # what earlier messages left would be summed again and again
        self._transport.sum_message(self._message)
        self.messages += 1
        header: list[float] = self._message[:HEADER].tolist()
        # The sum of the lengths: no rank's payload was longer.
        self._used = max(riding, min(int(header[LENGTH]), CAPACITY))
        return header

    def _suits_idle_ranks(self, header: list[float]) -> bool:
        """Say whether the others are where a rank without rows may meet them: in a step of the same kind.

        Such a rank brings no phase. It must not take, say, the leaving of another for the end of its step. All ranks
        know the answer from the header.
        """
        active = header[ACTIVE]
        idle = self._transport.size - active
        at = int(header[PHASE] / active)
        if idle == 0 or at in (Phase.FORWARD_SUMS, Phase.BACKWARD_SUMS):
            return True
        return at in (Phase.STEP, Phase.BACKWARD) and header[IDLE_KEY] * active == header[KEY] * idle

    def _raise_failures(self) -> NoReturn:
        gathered = map(unpack, self._transport.all_gather_bytes(pack(None)))
        reports = [report for report in gathered if report is not None]
        error = failure.remote_error(reports)
        failure.mark_agreed(error, self)
        raise error

    def _raise_divergence(self, at: Phase | None, key: int, name: str) -> NoReturn:
        line = "" if at is Phase.LEAVING else f", at {call_site()}"
        what = phase.describe(at, key, name)
        places = map(unpack, self._transport.all_gather_bytes(pack((int(at or 0), what + line))))
        known = [(rank, *place) for rank, place in enumerate(places)]
        lines = "\n".join(f"    rank {rank} {text}" for rank, _, text in known)
        left = [rank for rank, number, _ in known if number == Phase.LEAVING]
        error: RanksDiverged
        if left:
            self._left = (
                f"{_ranks(left)} left the program while the others wait for {'it' if len(left) == 1 else 'them'}:\n"
                f"{lines}\nWhat all ranks have to do together must not stand under a condition that differs between "
                "them, and must be reached on all of them."
            )
            error = RankLeft(self._left)
        else:
            error = RanksDiverged(
                f"the ranks are in different places of the program:\n{lines}\nfit, evaluate, predict, save and load are"
                " for all ranks together. For one rank's own work use a callback with ranks = 'root', or"
                " `with model.solo():`."
            )
        failure.mark_agreed(error, self)
        raise error


def _ranks(ranks: list[int]) -> str:
    return f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {', '.join(map(str, ranks))}"
