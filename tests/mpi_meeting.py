"""Keeps pytest in step on all MPI ranks: a test fails on every rank or on none, and no rank waits for ever.

Left alone, each rank would run pytest for itself. A rank whose test failed would go on to the next one, and
its first collective there would match the one in which its peers are still blocked: the wrong test passes,
and the run hangs later, far from the cause. So the ranks meet after collection and after each phase of each
test, on a communicator of their own, where nothing that a test sends can be taken for a meeting. Every wait
has an end: whoever waits too long for the others prints its own traceback and aborts the job.

A test that asks for `comm` runs at 1, 2, 3 and 4 ranks, or at those that ``@pytest.mark.ranks(2, 3)``
names, as far as the world has them. Each size is a part of the same world, so that one ``mpiexec -n 4``
covers them all. Ranks outside that part skip the test's body, and only meet the others. For them `comm` is
None; a fixture that makes something of `comm` has to let None pass.

Without ``--with-mpi`` such tests are skipped, and nothing here imports MPI.
"""

import functools
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

import pytest

SIZES = (1, 2, 3, 4)
EXIT_STALLED = 70
EXIT_DIVERGED = 71
_LONGEST_NAP_S = 0.005

T = TypeVar("T")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two settings that bound a wait."""
    parser.addini(
        "mpi_patience_s", "how long a rank whose test went well waits for the others", default="120"
    )
    parser.addini("mpi_patience_failed_s", "how long a rank whose test failed waits for them", default="10")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Give each rank temporary folders of its own: pytest's are numbered, and ranks would clear away each other's."""
    if config.getoption("with_mpi") and config.option.basetemp is None:
        config.option.basetemp = tempfile.mkdtemp(prefix="pytest-rank-")
        config.add_cleanup(functools.partial(shutil.rmtree, config.option.basetemp, ignore_errors=True))


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start meeting, and leave the terminal to root."""
    config.addinivalue_line("markers", "ranks(*sizes): the numbers of ranks at which a test of `comm` runs")
    if not config.getoption("with_mpi"):
        return
    from mpi4py import MPI

    config.pluginmanager.register(InStep(Meeting(MPI.COMM_WORLD), config), "mpi-meeting")
    if MPI.COMM_WORLD.rank != 0:
        config.pluginmanager.unregister(name="terminalreporter")
        config.option.xmlpath = None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of `comm` at several numbers of ranks."""
    if "comm" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("ranks")
        sizes = marker.args if marker else SIZES
        metafunc.parametrize("comm", sizes, indirect=True, ids=[f"{size}-ranks" for size in sizes])


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let pytest-mpi skip these tests where there is no MPI."""
    if "comm" in getattr(item, "fixturenames", ()):
        item.add_marker("mpi")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Spare the body on the ranks outside `comm`; they wait in the meeting that follows it."""
    outside = "comm" in pyfuncitem.fixturenames and pyfuncitem.funcargs["comm"] is None
    return True if outside else None


@pytest.fixture
def comm(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Yield a distfit `Communicator` over the first ranks of the world, and None on the others."""
    part = _first_ranks(request.param)
    if part is None:
        yield None
        return
    from distfit.comm import Communicator, leaving
    from distfit.comm.mpi import MpiTransport

    group = Communicator(MpiTransport(part))  # and not the world, even where it has all ranks
    yield group
    # A test may have left the group in any state: forget it instead of agreeing to close it. Its duplicates are
    # given back, of which MPI has some two thousand.
    leaving.unregister(group)
    group.transport.free()


@functools.cache
def _first_ranks(size: int) -> Any:
    """Return the part of the world that has the first `size` ranks, or None on the other ranks."""
    from mpi4py import MPI

    if size > MPI.COMM_WORLD.size:
        pytest.skip(f"needs {size} ranks, and has {MPI.COMM_WORLD.size}")
    part = MPI.COMM_WORLD.Split(0 if MPI.COMM_WORLD.rank < size else MPI.UNDEFINED)
    return None if part == MPI.COMM_NULL else part


class Meeting:
    """A place where all ranks tell each other something, within a bounded time."""

    def __init__(self, world: Any) -> None:
        self._comm = world.Dup()

    @property
    def size(self) -> int:
        """The number of ranks."""
        return int(self._comm.size)

    def exchange(self, mine: T, *, patience_s: float, last_words: str) -> list[T]:
        """Return what each rank brought, in rank order, or abort with `last_words` if one stays away."""
        arrival = self._comm.Ibarrier()
        deadline, nap_s = time.monotonic() + patience_s, 0.0
        while not arrival.Test():
            if time.monotonic() > deadline:
                self.abort(f"waited {patience_s:g} s for the others\n{last_words}", EXIT_STALLED)
            time.sleep(nap_s)
            nap_s = min(nap_s + 1e-4, _LONGEST_NAP_S)
        return list(self._comm.allgather(mine))

    def abort(self, text: str, code: int) -> NoReturn:
        """Print why, past pytest's capturing, and end the whole job."""
        print(f"\n[rank {self._comm.rank} of {self._comm.size}] {text}", file=sys.__stderr__, flush=True)
        self._comm.Abort(code)
        raise SystemExit(code)


class InStep:
    """The pytest hooks at which ranks meet."""

    def __init__(self, meeting: Meeting, config: pytest.Config) -> None:
        self._meeting = meeting
        self._patience_s = float(config.getini("mpi_patience_s"))
        self._patience_failed_s = float(config.getini("mpi_patience_failed_s"))
        self._collection_errors: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember a file that could not be imported, for the meeting after collection."""
        if report.failed:
            self._collection_errors.append(report.longreprtext)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Go on only if all ranks collected the same tests."""
        mine = ("\n".join(self._collection_errors), [item.nodeid for item in session.items])
        brought = self._meeting.exchange(mine, patience_s=self._patience_s, last_words="after collection")
        errors = self._by_rank([text for text, _ in brought])
        if errors:
            pytest.exit(f"a file could not be collected\n{errors}", returncode=pytest.ExitCode.INTERRUPTED)
        if any(items != brought[0][1] for _, items in brought):
            pytest.exit("ranks collected different tests", returncode=pytest.ExitCode.INTERRUPTED)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Iterator[None]:
        """Make each phase's report the same on every rank."""
        report: pytest.TestReport = yield  # type: ignore[assignment]
        place = f"{report.nodeid} [{report.when}]"
        outcome = f"xfail, {report.outcome}" if hasattr(report, "wasxfail") else report.outcome
        text = _text(report) if report.failed else ""
        brought = self._meeting.exchange(
            (place, outcome, text),
            patience_s=self._patience_failed_s if report.failed else self._patience_s,
            last_words=f"{place}: {outcome} here\n{text}",
        )
        if any(other != place for other, _, _ in brought):
            self._meeting.abort(
                f"ranks are in different tests: {[where for where, _, _ in brought]}", EXIT_DIVERGED
            )
        failures = self._by_rank([words for _, _, words in brought])
        outcomes = [its for _, its, _ in brought]
        if failures or len(set(outcomes)) > 1:
            report.__dict__.pop("wasxfail", None)
            report.outcome = "failed"
            report.sections = []
            report.longrepr = failures or f"ranks disagree: {dict(enumerate(outcomes))}"
        return report  # type: ignore[return-value]

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Leave together, so that the launcher cuts nobody's summary off."""
        self._meeting.exchange(None, patience_s=self._patience_s, last_words="at the end of the session")

    def _by_rank(self, texts: list[str]) -> str:
        headed = [
            f"----- rank {rank} of {self._meeting.size} -----\n{text}"
            for rank, text in enumerate(texts)
            if text
        ]
        return "\n".join(headed)


def _text(report: pytest.TestReport) -> str:
    captured = [f"----- {name} -----\n{content}" for name, content in report.sections if content]
    return "\n".join([report.longreprtext, *captured])
