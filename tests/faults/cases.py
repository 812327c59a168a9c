"""The fault matrix: which fault, where, on which ranks of how many; and what a user has to see of it.

A case is right if the job ended within its `end_s` of the fault, with the status and the words that `expected` says,
and left no process and no file behind. `make faults` runs all cases, `make test` the quick ones.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from faults.injection import EXIT_CODE, INTERRUPTED, ONCE
from faults.job import Ended
from support.faulty import HOOKS, WORK

END_S = 15.0
IMPORT_S = {"numpy": 0.0, "torch": 15.0}
"""What an engine's library may take to load on a busy machine, while the other ranks wait or have begun to end."""

# Which ranks fail, of how many: root, the last one, two at once.
PLACEMENTS = (
    (2, (0,)), (2, (1,)), (2, (0, 1)),
    (3, (0,)), (3, (2,)), (3, (0, 2)),
    (4, (0,)), (4, (3,)), (4, (1, 2)),
)  # fmt: skip
ON_ROOT = tuple((size, ranks) for size, ranks in PLACEMENTS if ranks == (0,))
SOME = tuple((size, ranks) for size, ranks in PLACEMENTS if len(ranks) < size)
FEW = ((2, (1,)), (3, (0,)), (4, (1, 2)))

WRITES = ("checkpoint write", "root on_epoch_end")

ERRORS = ("error", "error without text", "error that cannot be copied", "KeyboardInterrupt", "sys.exit")
DEATHS = ("os._exit", "SIGKILL")
SIGNALS = ("SIGTERM", "SIGUSR1", "SIGINT", "SIGINT in a reduction")


STALLS = ("SIGSTOP", "endless loop")
_PATIENCE = {"DISTFIT_WARN_AFTER": "1", "DISTFIT_TIMEOUT": "3"}


@dataclass(frozen=True)
class Case:
    """One job.

    Attributes:
        fault: what goes wrong; see `faults.injection`.
        place: where.
        size: how many ranks there are.
        ranks: on which of them.
        mpi: ``"MPICH"`` or ``"Open MPI"``.
        engine: what computes the model: ``"numpy"`` or ``"torch"``.
        quick: whether `make test` runs it, too.
    """

    fault: str
    place: str
    size: int
    ranks: tuple[int, ...]
    mpi: str = "MPICH"
    engine: str = "numpy"
    quick: bool = False

    @property
    def name(self) -> str:
        """What tells it from the others."""
        return f"{self.fault} / {self.place} / {self.ranks_text} / {self.mpi}"

    @property
    def ranks_text(self) -> str:
        """Which ranks, in words."""
        return f"{', '.join(map(str, self.ranks))} of {self.size}"

    @property
    def is_supervised(self) -> bool:
        """Whether ``python -m distfit run`` starts the job, and not mpiexec itself.

        Where a rank dies before MPI has started there is nobody left who knows the name of MPICH's shared memory.
        """
        return self.fault in DEATHS and self.place == "constructor"

    @property
    def launcher(self) -> str:
        """Whose it is, in words."""
        return f"{self.mpi}, distfit run" if self.is_supervised else self.mpi

    @property
    def end_s(self) -> float:
        """How long after the fault the job may last."""
        return END_S + IMPORT_S[self.engine]

    @property
    def arguments(self) -> list[str]:
        """Those of the program."""
        return [self.engine, self.fault, self.place, ",".join(map(str, self.ranks))]

    @property
    def variables(self) -> dict[str, str]:
        """Those of the environment: where a rank stalls, or dies before MPI knows it, the others lose patience soon."""
        return _PATIENCE if self.fault in (*STALLS, *DEATHS) else {}


@dataclass(frozen=True)
class Expected:
    """What a user has to see.

    Attributes:
        statuses: of mpiexec; None for any but 0.
        words: patterns, each of which has to be found in the output.
    """

    statuses: tuple[int, ...] | None
    words: tuple[str, ...]


def cases(*, open_mpi: bool) -> list[Case]:
    """Return all cases, on MPICH and, if asked, on Open MPI."""
    on_mpich = list(_mark_quick(_on_mpich()))
    return (
        on_mpich + [replace(case, mpi="Open MPI", quick=False) for case in _on_open_mpi(on_mpich)] * open_mpi
    )


def _on_mpich() -> Iterator[Case]:
    def each(faults: tuple[str, ...], places: tuple[str, ...], placements: object) -> Iterator[Case]:
        for fault, place, (size, ranks) in itertools.product(faults, places, placements):  # type: ignore[call-overload]
            yield Case(fault, place, size, ranks)

    roots = tuple(f"root {hook}" for hook in HOOKS)
    yield from each(("error",), (*WORK, *ONCE), PLACEMENTS)
    yield from each(("error",), HOOKS, FEW)
    yield from each(("error",), roots, ON_ROOT[:2])
    yield from each(("error",), ("checkpoint write",), ON_ROOT)
    yield from each(ERRORS[1:], ("data source", "iterable", "backward after BatchNormalization"), FEW)
    yield from each(ERRORS[1:], ("optimizer update", "on_train_batch_end", "between fits", "after fit"), FEW)
    yield from each(ERRORS[1:], ("constructor",), FEW[:1])
    yield from each(ERRORS[1:], WRITES, ON_ROOT[1:2])
    yield from each(
        DEATHS, ("on_epoch_end", "data source", "loss", "after fit", "at exit", "constructor"), FEW
    )
    yield from each(DEATHS, WRITES, ON_ROOT[1:2])
    yield from each(SIGNALS, ("on_train_batch_end", "loss"), FEW)
    yield from each(STALLS, ("data source", "loss", "on_epoch_end", "between fits", "after fit"), FEW)
    yield from each(STALLS, WRITES, ON_ROOT[1:2])
    yield from each(("fit", "evaluate", "barrier"), ("between fits", "after fit"), SOME)
    yield from each(("fit", "evaluate", "barrier"), ("on_epoch_end", "on_test_begin"), FEW)
    yield from each(("fit", "barrier"), ("root on_epoch_end", "root on_train_batch_end"), ON_ROOT)
    yield from each(("fit", "barrier"), ("root on_train_begin", "root on_predict_end"), ON_ROOT[:1])
    yield from each(("short data", "other data"), ("data",), SOME)
    # Root may have callbacks of its own: they are root's.
    yield from each(("other callbacks",), ("callbacks",), [one for one in SOME if 0 not in one[1]])
    yield from each(("NaN",), ("data",), PLACEMENTS[2::3])
    yield from each(("disk full",), ("checkpoint write", "log"), ON_ROOT)
    yield from each(("quota",), ("root on_epoch_end",), ON_ROOT)
    yield from each(("unwritable path",), ("files",), ON_ROOT)


def _mark_quick(all_cases: Iterator[Case]) -> Iterator[Case]:
    """Let a case of each place where an error can be, and of a third of all else, be quick; ranks take turns."""
    groups = itertools.groupby(all_cases, lambda case: (case.fault, case.place))
    seen = set()
    for number, ((fault, place), group) in enumerate(groups):
        members = list(group)
        matters = (
            (fault, place in WORK) not in seen or (fault == "error" and place in WORK) or number % 3 == 0
        )
        seen.add((fault, place in WORK))
        for case in members:
            yield replace(case, quick=matters and case is members[number % len(members)])


def _on_open_mpi(on_mpich: list[Case]) -> Iterator[Case]:
    """Choose one case of each fault, at a place where it differs from others how MPI takes part in it."""
    seen = set()
    for case in on_mpich:
        kind = (case.fault, "hook" if "on_" in case.place else case.place in ONCE)
        if case.quick and kind not in seen:
            seen.add(kind)
            yield case


_TEXTS = {
    "error": r"ValueError: the fault",
    "error without text": r"Mute",
    "error that cannot be copied": r"Particular: the fault",
    "KeyboardInterrupt": r"KeyboardInterrupt",
    "SIGINT": r"KeyboardInterrupt",
    "SIGINT in a reduction": r"KeyboardInterrupt",
    # Outside of an operation Python tells nobody of a sys.exit, before it is too late to ask.
    "sys.exit": rf"SystemExit|sys\.exit|exit status {EXIT_CODE}|left the program",
    "short data": r"DataMismatch: ranks differ in x",
    "other data": r"DataMismatch: ranks differ in y",
    "other callbacks": r"DataMismatch: .*callbacks",
    "NaN": r"RuntimeError: the loss is nan at batch",
    "SIGSTOP": r"gives no sign of life",
    "endless loop": r"injection\.py.* in _loop",
    "disk full": r"OSError: \[Errno 28\] No space left on device",
    "quota": r"(OSError|SafetensorError): .*File too large",
    "unwritable path": r"(NotADirectory|FileExists)Error: .*a file",
}


def expected(case: Case) -> Expected:
    """Say what a user has to see: which status, the reason, and the rank."""
    named = tuple(rf"\branks? ([\d, ]* )?{rank}\b" for rank in case.ranks)
    if case.fault in DEATHS:
        return _death(case)
    if (case.fault, case.place) == ("fit", "between fits"):  # the others begin the next one, with other data
        return Expected(None, (r"DataMismatch: ranks differ in", *named))
    if case.fault in ("fit", "evaluate", "barrier"):
        return Expected(None, _misplaced(case))
    if (case.fault, case.place) == (
        "sys.exit",
        "after fit",
    ):  # all ranks leave: nobody waits, and Python says nothing
        return Expected((EXIT_CODE,), ())
    if case.place == "at exit":
        # Python prints what an atexit handler raises, and ends with the status that it had.
        return Expected((0,), (_TEXTS[case.fault],))
    if case.fault == "NaN":  # it is seen in the loss of all ranks
        return Expected(None, (_TEXTS["NaN"],))
    if case.fault in ("SIGTERM", "SIGUSR1"):  # training ends in order, and the program says with which status
        return Expected((INTERRUPTED,), ("ends early",))
    if case.fault in STALLS:
        return Expected(None, (_TEXTS[case.fault], *named, "DISTFIT_TIMEOUT"))
    statuses = (EXIT_CODE,) if case.fault == "sys.exit" else None
    return Expected(statuses, (_TEXTS[case.fault], *named))


def _death(case: Case) -> Expected:
    """A rank that is gone can say nothing: mpiexec does, and Open MPI's names the rank, too."""
    by_signal = case.fault == "SIGKILL"
    if (
        case.mpi == "MPICH"
    ):  # whose mpiexec may tell the status of a rank that it ended itself, or say nothing at all
        return Expected((9,), ("signal 9",)) if by_signal else Expected((EXIT_CODE, 9), ())
    ranks = "|".join(map(str, case.ranks))
    if by_signal:
        return Expected((137,), (rf"rank ({ranks}) .*\n?.*signal 9",))
    return Expected((EXIT_CODE,), (rf"@1,({ranks})\]", rf"Exit code: +{EXIT_CODE}"))


def _misplaced(case: Case) -> tuple[str, ...]:
    """What all ranks have to do together, on some of them: both sides are told by source line."""
    if case.place.startswith("root "):
        hook = case.place.removeprefix("root ")
        return (rf"CollectiveInRootHook: {case.fault} .*injection\.py:\d+.*Observer\.{hook}", r"rank 0\b")
    verb = "calls" if case.fault == "barrier" else "begins"
    others = r"(program|faulty|faulty_torch)\.py:\d+" if case.place != "after fit" else "leaves the program"
    return (
        *(rf"rank {rank} {verb} {case.fault}.*injection\.py:\d+" for rank in case.ranks),
        *(rf"rank {rank} .*{others}" for rank in range(case.size) if rank not in case.ranks),
    )


def faults_of(case: Case, ended: Ended) -> list[str]:
    """Say in which ways a job did not end as it has to; none if all is well."""
    wanted = expected(case)
    found = []
    if ended.status is None:
        found.append("it hung")
    elif ended.seconds > case.end_s:
        found.append(f"it ended {ended.seconds:.0f} s after the fault")
    if not ended.struck:
        found.append("the fault never came")
    if wanted.statuses is None and ended.status == 0:
        found.append("its status is 0")
    if wanted.statuses is not None and ended.status not in wanted.statuses:
        found.append(f"its status is {ended.status}, not {' or '.join(map(str, wanted.statuses))}")
    found += [f"its output lacks {words!r}" for words in wanted.words if not re.search(words, ended.output)]
    return found + [f"it left {what}" for what in ended.left]
