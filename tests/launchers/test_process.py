"""What Linux tells of other processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from distfit.comm.board import Board
from distfit.launchers.process import carriers, catches, runs
from distfit.launchers.steps import Steps


@contextmanager
def other(program: str, **environment: str) -> Iterator[int]:
    """Run another process, which has run its program, until the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-c", f"{program}\nimport sys; print(flush=True); sys.stdin.read()"],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.readline()
        yield process.pid
        process.kill()


def test_handlers_are_seen() -> None:
    with other("import signal; signal.signal(signal.SIGUSR1, print)") as process:
        assert catches(process, signal.SIGUSR1)
        assert not catches(process, signal.SIGUSR2)
    with other("import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)") as process:
        assert not catches(process, signal.SIGUSR1)
    assert not catches(process, signal.SIGINT)  # it has ended


def test_processes_are_known_by_their_environment() -> None:
    with other("", MARK="/tmp/job-1/rank-0") as process:
        assert carriers("MARK=/tmp/job-1/") == [process]
        assert carriers("MARK=/tmp/job-2/") == []
        assert carriers("ARK=/tmp/job-1/") == []


def test_a_process_that_nobody_has_waited_for_runs_no_more() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not runs(process.pid)
    process.wait()
    assert not runs(process.pid)


def test_steps_outlive_the_ranks() -> None:
    """The board of a job of two ranks, as root's process shows it to others."""
    program = (
        "from distfit.comm.board import Board\n"
        "other, board = Board.make(size=1), Board.make(size=2)\n"
        "for rank in (0, 1): board.write(rank, beat=1, calls=0, finished=0, step=[120, 119][rank], text='')\n"
    )
    steps = Steps(ranks=2)
    assert steps.of(0) is None
    with other(program) as root:
        steps.look({12: 1, root: 0})
        steps.look({root: 0})
    assert (steps.of(0), steps.of(1), steps.of(None)) == (120, 119, 120)


def test_no_step_is_known_before_the_first() -> None:
    board = Board.make(size=37)  # as no other test has one in this process
    steps = Steps(ranks=37)
    steps.look({os.getpid(): 0})
    assert steps.of(0) is None
    board.write(0, beat=1, calls=0, finished=0, step=3, text="")
    assert steps.of(0) == 3
